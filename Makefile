# make help lists what there is. PROFILE=paper runs the published protocols in full, and is what
# README and the site show; STORAGE=<Optuna storage URL> keeps the runs in a database that several
# machines may share.
PROFILE ?= $(if $(filter-out site readme archive,$(or $(MAKECMDGOALS),help)),quick,paper)
STORAGE ?=
REUSE ?=
PYTHON ?= python3
PORT ?= 8080
VENV := .venv
BIN := $(VENV)/bin

# Two studies at once, sharing the cores, take two thirds of the time of one after the other.
JOBS ?= 2

# A switch that is misspelt or impossible ends make before anything is set up.
SWITCHES := PROFILE STORAGE REUSE JOBS PORT PYTHON
comma := ,
empty :=
given = $(if $(filter command,$(firstword $(origin $(1)))),$(1))
unknown := $(foreach name,$(filter-out $(SWITCHES) SHARED_BY,$(.VARIABLES)),$(call given,$(name)))
$(if $(strip $(unknown)),$(error $(strip $(unknown)): no such switch; known: \
  $(subst $(empty) $(empty),$(comma) ,$(SWITCHES))))
check = $(if $(filter-out 1,$(words $($(1))))$(filter-out $(2),$($(1))),$(error $(1) = $($(1)): must be $(3)))
$(call check,PROFILE,smoke quick paper,smoke$(comma) quick or paper)
$(if $(REUSE),$(call check,REUSE,1,1 or nothing))
$(call check,JOBS,$(shell seq 999),a positive integer)
$(call check,PORT,$(if $(filter 8080,$(PORT)),8080,$(shell seq 65535)),an integer from 1 to 65535)

# How many studies share the cores: JOBS where make all runs them, one where a study runs alone.
SHARED_BY := 1
CORES := $(shell nproc 2>/dev/null || echo 2)
THREADS := $(shell n=$$(( $(CORES) / $(SHARED_BY) )); echo $$(( n > 0 ? n : 1 )))
export OMP_NUM_THREADS := $(THREADS)
# Of two studies that share the cores each keeps to its own: a tenth faster than if all mixed.
export TF_NUM_INTEROP_THREADS := $(THREADS)
# Arrays in huge pages, where Linux leaves that to the program: products are a few percent faster.
export GLIBC_TUNABLES := glibc.malloc.hugetlb=1

# As it was typed: a password may hold a dollar sign.
ifneq ($(value STORAGE),)
export FMNIST_STORAGE := $(value STORAGE)
endif
# The driver of PostgreSQL is installed once something needs it.
DRIVER := .venv/postgresql
NEEDED := $(if $(filter postgres%,$(value FMNIST_STORAGE)),$(DRIVER))
# REUSE=1 keeps finished runs of older code; the reports then show their fingerprint.
ifneq ($(REUSE),)
export FMNIST_REUSE := 1
endif
export PYTHONWARNINGS := ignore::DeprecationWarning,ignore::FutureWarning
export PYDEVD_DISABLE_FILE_VALIDATION := 1
# With more threads NumPy's products, too, add up in another order.
export OPENBLAS_NUM_THREADS := 1

NOTEBOOKS := $(sort $(basename $(notdir $(wildcard notebooks/*.ipynb))))
BENCH := .venv-bench
PACKAGE := $(shell find fmnist_keras -name '*.py' -o -name '*.yaml')
STAMPS := .stamps/$(PROFILE)
# $(call execute,JOBS,STUDIES): execute those that are not up to date, and show how far they are.
execute = $(BIN)/python scripts/progress.py $(PROFILE) $(1) $(2) -- \
  $(MAKE) --no-print-directory --keep-going --jobs=$(1) SHARED_BY=$(1)
NBVAL := --nbval-lax --nbval-current-env --nbval-sanitize-with tests/nbval.cfg -p tests.nbval_settings

.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: all help test lab dashboard smoke repair references mutants readme bench announce-bench clean
.PHONY: test-distributed site archive

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 20
	@echo "one study:          $(foreach name,$(NOTEBOOKS),$(shell echo $(name) | cut -c4-))"

# One site stands at a time: that of the profile that was built last.
SITE := .stamps/site-$(PROFILE)
all: $(VENV)/ready .stamps/data $(NEEDED) ## set up, then re-execute every study that is not up to date, and build the site (PROFILE=quick)
	+@$(call execute,$(JOBS),$(NOTEBOOKS))
	+@$(if $(filter smoke,$(PROFILE)),,$(MAKE) --no-print-directory --silent $(SITE))
	@echo "reports/$(PROFILE) is up to date$(if $(filter smoke,$(PROFILE)),,: open site/build/html/index.html)"

site: $(SITE) ## build the site from the reports of PROFILE (paper), into site/build/html
	@echo "open site/build/html/index.html"

$(SITE): $(wildcard reports/$(PROFILE)/*.ipynb site/*.py site/static/*) $(VENV)/ready scripts/site.py
	@$(BIN)/python scripts/site.py $(PROFILE)
	@rm -f .stamps/site-* && touch $@

# As a machine of four cores would: that many stacks of seeds train side by side.
test: $(VENV)/ready .stamps/data ## set up, then lint, unit tests, and every notebook against its stored outputs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	results=$$(mktemp -d) && trap 'rm -rf "$$results"' EXIT && \
	OMP_NUM_THREADS=4 TF_NUM_INTEROP_THREADS=4 FMNIST_RESULTS=$$results \
	  $(BIN)/python -m pytest --numprocesses=$(JOBS) --dist=loadfile $(NBVAL) tests notebooks

test-distributed: $(VENV)/ready .stamps/data $(DRIVER) ## several workers, kills and restarts, with a PostgreSQL of its own
	$(BIN)/python -m pytest -m distributed -rs tests/test_distributed.py

lab: $(VENV)/ready .stamps/data $(NEEDED) ## open copies of the notebooks in JupyterLab
	@mkdir -p lab && cp -n notebooks/*.ipynb lab
	@echo "lab/ holds copies to try things in, made once; what is in notebooks/ stays as it is"
	$(BIN)/jupyter lab --ServerApp.root_dir="$(CURDIR)" $(if $(filter 0,$(shell id -u)),--allow-root) lab/00_one_run_by_hand.ipynb

dashboard: $(VENV)/ready $(NEEDED) ## browse all runs in Optuna's dashboard, in the web browser (PORT=8080)
	@$(BIN)/python scripts/dashboard.py $(PORT)

smoke: ## execute every notebook with its own small defaults, into reports/smoke
	$(MAKE) all PROFILE=smoke

repair: $(VENV)/ready ## keep what is whole in damaged journal files of results/
	@$(BIN)/python scripts/repair.py

references: $(VENV)/ready .stamps/data ## store anew what the checks compare with (PROFILE=smoke, quick or paper)
	$(BIN)/python scripts/references.py $(PROFILE)

mutants: $(VENV)/ready .stamps/data ## break the code on purpose, here and there, and see that a test fails
	$(BIN)/python scripts/mutants.py

readme: $(VENV)/ready ## put headline, figure and chapters of the reports of PROFILE (paper) into README.md
	$(BIN)/python scripts/readme.py $(PROFILE)

archive: $(VENV)/ready ## keep all finished runs of results/ beside the reports of PROFILE (paper)
	$(BIN)/python scripts/archive.py $(PROFILE)

bench: announce-bench $(BENCH)/ready .stamps/data ## time training beside Keras fit, PyTorch and JAX, into benchmarks/README.md
	$(BENCH)/bin/python benchmarks/speed.py

announce-bench:
	@echo "bench needs an environment of its own, $(BENCH), with PyTorch and JAX: once, several hundred"
	@echo "MB to several GB to download. The timings then take an hour and a half on two cores."

clean: ## forget what is up to date and what has been trained (not the environment, not the reports)
	rm -rf .stamps results
	@mkdir results && touch results/cleaned  # runs committed with the reports count no more

$(BENCH)/ready: benchmarks/requirements.txt
$(VENV)/ready $(BENCH)/ready: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "$(PYTHON) is not Python 3.10 to 3.13: name one with make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(@D) || { echo "no venv module: apt-get install python3-venv"; exit 1; }
	$(@D)/bin/python -m pip install --quiet --upgrade pip
	$(@D)/bin/python -m pip install --quiet $(patsubst %,-r %,$(filter %.txt,$^))
	$(@D)/bin/python -m pip install --quiet --no-deps --editable .
	@touch $@

$(DRIVER): requirements-postgresql.txt $(VENV)/ready
	$(BIN)/python -m pip install --quiet -r $<
	@touch $@

.stamps/data: $(VENV)/ready
	@mkdir -p $(@D)
	$(BIN)/python scripts/fetch_data.py
	@touch $@

# A study fails or succeeds as a whole: the report appears only once its notebook has run through.
# The smoke profile has no parameter files: the notebooks' own defaults are meant.
.SECONDEXPANSION:
$(STAMPS)/%: notebooks/%.ipynb $$(wildcard params/$(PROFILE)/$$*.yaml) $(PACKAGE) $(VENV)/ready .stamps/data
	@mkdir -p $(@D)
	@$(BIN)/python scripts/execute.py $(PROFILE) $*
	@touch $@

$(STAMPS)/14_summary: $(patsubst %,$(STAMPS)/%,$(filter-out 14_summary,$(NOTEBOOKS)))

# Each study under its name, alone; the summary brings all of them.
define study
.PHONY: $(2)
$(2): $(VENV)/ready .stamps/data $(NEEDED)
	+@$$(call execute,$(3))
	@echo "reports/$(PROFILE)/$(1).ipynb is up to date"
endef
$(foreach name,$(filter-out 14_summary,$(NOTEBOOKS)),\
  $(eval $(call study,$(name),$(shell echo $(name) | cut -c4-),1$(comma)$(name))))
$(eval $(call study,14_summary,summary,$(JOBS)$(comma)$(NOTEBOOKS)))
