# make help lists what there is. PROFILE=paper runs the published protocols in full;
# STORAGE=<Optuna storage URL> keeps the runs in a database that several machines may share.
PROFILE ?= quick
STORAGE ?=
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# Two studies at once, sharing the cores, take two thirds of the time of one after the other.
JOBS ?= 2
# How many studies share the cores: JOBS where make all runs them, one where a study runs alone.
SHARED_BY := 1
CORES := $(shell nproc 2>/dev/null || echo 2)
THREADS := $(shell n=$$(( $(CORES) / $(SHARED_BY) )); echo $$(( n > 0 ? n : 1 )))
# An operation of a dense network stays on one thread, and its seeds are trained side by side;
# convolutions use all threads there are.
CONVOLUTIONAL := 06_architectures
export OMP_NUM_THREADS := $(THREADS)
# Arrays in huge pages, where Linux leaves that to the program: products are a few percent faster.
export GLIBC_TUNABLES := glibc.malloc.hugetlb=1

export FMNIST_STORAGE := $(STORAGE)
export PYTHONWARNINGS := ignore::DeprecationWarning,ignore::FutureWarning
export PYDEVD_DISABLE_FILE_VALIDATION := 1

NOTEBOOKS := $(sort $(basename $(notdir $(wildcard notebooks/*.ipynb))))
# The longest first, so that no core is left idle at the end.
LONGEST := 13_missing_pixels 07_mlp_capacity 09_weight_penalties 04_optimizers 06_architectures \
  11_normalization_and_initialization 05_batch_size
STUDIES := $(LONGEST) $(filter-out $(LONGEST) 14_summary,$(NOTEBOOKS))
BENCH := .venv-bench
PACKAGE := $(wildcard fmnist_keras/*.py fmnist_keras/*.yaml)
STAMPS := .stamps/$(PROFILE)
NBVAL := --nbval-lax --nbval-current-env --nbval-sanitize-with tests/nbval.cfg -p tests.nbval_settings

.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: all help test lab smoke references readme bench clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 20
	@echo "one study:          $(foreach name,$(NOTEBOOKS),$(shell echo $(name) | cut -c4-))"

all: $(VENV)/ready .stamps/data ## set up, then re-execute every study that is not up to date (PROFILE=quick)
	@$(MAKE) --no-print-directory --jobs=$(JOBS) SHARED_BY=$(JOBS) $(STUDIES:%=$(STAMPS)/%) $(STAMPS)/14_summary
	@echo "reports/$(PROFILE) is up to date; begin with reports/$(PROFILE)/14_summary.html (.ipynb beside it)"

test: $(VENV)/ready .stamps/data ## set up, then lint, unit tests, and every notebook against its stored outputs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	results=$$(mktemp -d) && trap 'rm -rf "$$results"' EXIT && \
	TF_NUM_INTRAOP_THREADS=1 OMP_NUM_THREADS=1 FMNIST_RESULTS=$$results \
	  $(BIN)/python -m pytest --numprocesses=$(JOBS) --dist=loadfile $(NBVAL) tests notebooks

lab: $(VENV)/ready .stamps/data ## open the notebooks in JupyterLab
	$(BIN)/jupyter lab notebooks

smoke: ## execute every notebook with its own small defaults, into reports/smoke
	$(MAKE) all PROFILE=smoke

references: $(VENV)/ready .stamps/data ## store each notebook's smoke outputs anew, as what the tests compare with
	$(BIN)/python tests/store_references.py $(NOTEBOOKS:%=notebooks/%.ipynb)

readme: $(VENV)/ready ## put the quick reports' headline table and figure into README.md
	$(BIN)/python -c "from fmnist_keras import reports; reports.update_readme()"

bench: $(BENCH)/ready .stamps/data ## time training beside Keras fit, PyTorch and JAX, into benchmarks/README.md
	$(BENCH)/bin/python benchmarks/speed.py

clean: ## forget what is up to date and what has been trained (not the environment, not the reports)
	rm -rf .stamps results

$(BENCH)/ready: benchmarks/requirements.txt
$(VENV)/ready $(BENCH)/ready: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "$(PYTHON) is not Python 3.10 to 3.13: name one with make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(@D) || { echo "no venv module: apt-get install python3-venv"; exit 1; }
	$(@D)/bin/python -m pip install --quiet --upgrade pip
	$(@D)/bin/python -m pip install --quiet $(patsubst %,-r %,$(filter %.txt,$^))
	$(@D)/bin/python -m pip install --quiet --no-deps --editable .
	@touch $@

.stamps/data: $(VENV)/ready
	@mkdir -p $(@D)
	$(BIN)/python -c 'from fmnist_keras import data; print("data from:", data.load().source)'
	@touch $@

# A study fails or succeeds as a whole: the report appears only once its notebook has run through.
# The smoke profile has no parameter files: the notebooks' own defaults are meant.
.SECONDEXPANSION:
$(STAMPS)/%: notebooks/%.ipynb $$(wildcard params/$(PROFILE)/$$*.yaml) $(PACKAGE) $(VENV)/ready .stamps/data
	@mkdir -p $(@D) reports/$(PROFILE)
	@echo "$(PROFILE): $*"
	@TF_NUM_INTRAOP_THREADS=$(if $(filter $(CONVOLUTIONAL),$*),$(THREADS),1) \
	  $(BIN)/papermill -k python3 --cwd . --no-progress-bar --log-level ERROR --stdout-file /dev/stdout \
	  $(if $(wildcard params/$(PROFILE)/$*.yaml),-f params/$(PROFILE)/$*.yaml) \
	  $(if $(filter 14_summary,$*),-p profile $(PROFILE)) notebooks/$*.ipynb $@.ipynb
	@$(BIN)/jupyter nbconvert --log-level ERROR --to html --output-dir reports/$(PROFILE) --output $* $@.ipynb
	@mv $@.ipynb reports/$(PROFILE)/$*.ipynb
	@touch $@

$(STAMPS)/14_summary: $(STUDIES:%=$(STAMPS)/%)

define study
.PHONY: $(2)
$(2): $(STAMPS)/$(1)
endef
$(foreach name,$(NOTEBOOKS),$(eval $(call study,$(name),$(shell echo $(name) | cut -c4-))))
