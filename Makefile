# make help lists the targets. PROFILE=paper runs the published protocols in full; README and the site
# show it. REUSE=1 keeps finished runs of older code. STORAGE=<Optuna URL> keeps searches in a
# database. SCHEDULER=tcp://host:8786 sends runs to the workers of a Dask scheduler.
PROFILE ?= $(if $(filter-out site readme archive,$(or $(MAKECMDGOALS),help)),quick,paper)
JOBS ?= 2# studies at once: two on shared cores take two thirds of the time of one after the other
PORT ?= 8080
PYTHON ?= python3
BIN := .venv/bin

# A misspelt or impossible switch ends make before anything is set up.
SWITCHES := PROFILE STORAGE REUSE SCHEDULER JOBS PORT PYTHON
comma := ,
given = $(if $(filter command,$(firstword $(origin $(1)))),$(1))
unknown := $(strip $(foreach name,$(filter-out $(SWITCHES),$(.VARIABLES)),$(call given,$(name))))
$(if $(unknown),$(error $(unknown): no such switch; known: $(subst $() ,$(comma) ,$(SWITCHES))))
check = $(if $(filter-out 1,$(words $($(1))))$(filter-out $(2),$($(1))),$(error $(1) = $($(1)): must be $(3)))
$(call check,PROFILE,smoke quick paper,smoke$(comma) quick or paper)
$(if $(REUSE),$(call check,REUSE,1,1 or nothing))
$(if $(SCHEDULER),$(call check,SCHEDULER,tcp://% tls://%,like tcp://host:8786))
$(call check,JOBS,$(shell seq 999),a positive integer)
$(call check,PORT,$(shell seq 65535),an integer from 1 to 65535)

# Kernels read the switches from FMNIST_OPTIONS, as typed: a password may hold dollar signs and quotes.
json = $(if $(value $(1)),$(comma) "$(2)": "$(subst ",\",$(subst \,\\,$(value $(1))))")
export FMNIST_OPTIONS := {"reuse": $(if $(REUSE),true,false)$(call json,STORAGE,storage)$(call json,SCHEDULER,scheduler)}
quoted = '$(subst ','\'',$(1))'
export GLIBC_TUNABLES := glibc.malloc.hugetlb=1# huge pages make matrix products a few percent faster
export OPENBLAS_NUM_THREADS := 1# with more, NumPy adds products up in another order
export PYTHONWARNINGS := ignore::DeprecationWarning,ignore::FutureWarning
export PYDEVD_DISABLE_FILE_VALIDATION := 1
export PYTHONUTF8 := 1
unexport PYTHONPATH PYTHONHOME# another project's modules
NAME := [0-9][0-9]_[a-z0-9_][a-z0-9_]*
CHAPTERS := $(shell ls notebooks | LC_ALL=C sed -n 's/^\($(NAME)\)\.ipynb$$/\1/p')
STUDIES := $(shell printf '%s\n' $(CHAPTERS) | cut -c4-)
$(if $(MAKELEVEL:0=),,$(shell ls notebooks | LC_ALL=C sed -n \
  '/^$(NAME)\.ipynb$$/!s/.*\.ipynb$$/passed over, as not named like 02_baseline.ipynb: &/p' >&2))
STAMPS := $(CHAPTERS:%=.stamps/$(PROFILE)/%)
SITE := .stamps/site-$(PROFILE)
READY := .venv/ready .stamps/data $(if $(SCHEDULER),.venv/dask)

.DELETE_ON_ERROR .NOTPARALLEL .SECONDEXPANSION:
.PHONY: $(STUDIES) all archive bench check clean dashboard help lab lint mutants readme references \
  site smoke test test-distributed worker

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-20s%s\n", $$1, $$2 }' Makefile
	@echo "one study:          $(STUDIES)"

# A stamp older than its study's parts puts the study into PLAN. report.py executes the plan and writes
# the stamps. The summary comes last, as it reads the other reports.
report = $(if $(1),$(BIN)/python scripts/report.py $(PROFILE) $(JOBS) $(1),:)
execute = $(call report,$(filter-out %_summary,$(PLAN))) && $(call report,$(filter %_summary,$(PLAN)))$(eval PLAN :=)
all: $(STAMPS) ## set up, re-execute every study that is not up to date, build the site (PROFILE=quick)
	@$(execute)
	+@$(if $(filter smoke,$(PROFILE)),,$(MAKE) --no-print-directory --silent $(SITE))
	@echo "reports/$(PROFILE) is up to date$(if $(filter smoke,$(PROFILE)),,: open site/build/html/index.html)"
$(STUDIES): $$(patsubst notebooks/%.ipynb,.stamps/$(PROFILE)/%,$$(wildcard notebooks/[0-9][0-9]_$$@.ipynb))
	@$(execute)
	@echo "$(<:.stamps/%=reports/%.ipynb) is up to date"
$(STAMPS): .stamps/$(PROFILE)/%: notebooks/%.ipynb $$(wildcard params/$(PROFILE)/$$*.yaml) \
  $(shell find fmnist_keras ! -name '* *' '(' -name '*.py' -o -name '*.yaml' ')') $(READY)
	@rm -f $@$(eval PLAN += $*)
$(filter %_summary,$(STAMPS)): $(filter-out %_summary,$(STAMPS))

site: $(SITE) ## build the site from the reports of PROFILE (paper), into site/build/html
	@echo "open site/build/html/index.html"
$(SITE): $(wildcard $(CHAPTERS:%=reports/$(PROFILE)/%.ipynb) site/*.py site/static/*) scripts/site.py .venv/ready
	@$(BIN)/python scripts/site.py $(PROFILE) && rm -f .stamps/site-* && touch $@  # one site at a time

check: lint $(READY) ## lint and run the quick unit tests
	$(PYTEST) -m "not slow and not distributed" tests
test: lint $(READY) ## lint, unit tests, and every notebook against its stored outputs
	$(PYTEST) --nbval-lax --nbval-kernel-name=python3 --nbval-sanitize-with=tests/nbval.cfg \
	  tests/test_paper.py notebooks tests  # what takes long goes first, so that both cores end at once
test-distributed: .venv/dask $(READY) ## test a scheduler with several workers, kills and restarts
	$(BIN)/python -m pytest -m distributed -rs tests/test_distributed.py
lint: .venv/ready ; $(BIN)/python -m ruff check . && $(BIN)/python -m ruff format --check .
# Each process has a core; test_stacked.py alone trains stacks of seeds side by side.
PYTEST = results=$$(mktemp -d) && trap 'rm -rf "$$results"' EXIT && \
  OMP_NUM_THREADS=1 TF_NUM_INTEROP_THREADS=4 FMNIST_RESULTS=$$results \
  $(BIN)/python -m pytest -p tests.nbval_settings -n $(JOBS) --dist=loadfile --no-loadscope-reorder

lab: $(READY) ## open copies of the notebooks in JupyterLab
	@mkdir -p lab && for chapter in $(CHAPTERS:%=%.ipynb); do \
	  test -e lab/$$chapter || cp notebooks/$$chapter lab || exit; done
	@echo "lab/ holds copies to try things in, made once; what is in notebooks/ stays as it is"
	$(BIN)/python -m jupyterlab --ServerApp.root_dir=$(call quoted,$(CURDIR)) $(if $(filter 0,$(shell id -u)),--allow-root) lab/00_one_run_by_hand.ipynb
dashboard: .venv/ready ## browse the searches in Optuna's dashboard, in the web browser (PORT=8080)
	@$(BIN)/python -m optuna_dashboard._cli $(call quoted,$(or $(value STORAGE),sqlite:///results/searches.db)) --port $(PORT)
worker: .venv/dask $(READY) ## train what the scheduler sends (SCHEDULER=tcp://host:8786); without one, start it too
	@$(BIN)/python -m fmnist_keras.cluster $(if $(SCHEDULER),$(call quoted,$(value SCHEDULER)))
smoke: ## execute every notebook with its own small defaults, into reports/smoke
	$(MAKE) all PROFILE=smoke
mutants: $(READY) ## break the code on purpose, one line at a time, and see which test fails
	$(BIN)/python tests/mutants.py
references: $(READY) ## store anew the numbers that checks compare with (PROFILE=smoke or quick)
	$(BIN)/python scripts/references.py $(PROFILE)
readme: .venv/ready ## put headline, figure and chapters of the reports of PROFILE (paper) into README.md
	$(BIN)/python scripts/readme.py $(PROFILE)
archive: .venv/ready ## keep all finished runs of results/ beside the reports of PROFILE (paper)
	$(BIN)/python -m fmnist_keras.store $(PROFILE)
bench: .venv-bench/ready .stamps/data ## time training beside Keras fit, PyTorch and JAX (downloads up to several GB, then takes 90 minutes)
	.venv-bench/bin/python benchmarks/speed.py
clean: ## forget which reports are up to date and what has been trained; keep environment and reports
	rm -rf .stamps results && mkdir results && touch results/cleaned  # nor do committed runs count

.venv-bench/ready: benchmarks/requirements.txt
.venv/ready .venv-bench/ready: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "$(PYTHON) is not Python 3.10 to 3.13: name one with make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(@D) || { echo "no venv module: apt-get install python3-venv"; exit 1; }
	$(@D)/bin/python -m pip install --quiet --upgrade pip
	$(@D)/bin/python -m pip install --quiet $(patsubst %,-r %,$(filter %.txt,$^))
	@for packages in $(@D)/lib/python*/site-packages; do rm -rf $$packages/*fmnist_keras*; \
	  echo ../../../.. > $$packages/fmnist_keras.pth; done && touch $@  # relative: a checkout may move
.venv/dask: requirements-dask.txt .venv/ready
	$(BIN)/python -m pip install --quiet -r $< && touch $@
.stamps/data: .venv/ready
	mkdir -p $(@D) && $(BIN)/python scripts/fetch_data.py && touch $@
