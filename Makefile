# Everything runs in .venv, which `setup` makes from python3 and constraints.txt.
PYTHON ?= python3
COV_MIN ?= 95
WORKERS ?= 2
SIZES ?= S M
BIN := .venv/bin
READY := .venv/.ready

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export MPLBACKEND ?= agg

.DEFAULT_GOAL := help
.PHONY: help setup lint format quick test system demo docs notebooks bench bench-exports bench-monitor bench-peers bench-promise bench-quality results clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

setup: $(READY) ## Make .venv with the pinned dependencies (only when they changed)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "churnrisk needs Python 3.11 or later, $(PYTHON) is $$($(PYTHON) --version 2>&1). Say which to use: make PYTHON=python3.12 ..." >&2; exit 1; }
	@echo "Setting up .venv (some minutes, once) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install -qq -c constraints.txt -e '.[dev]'
	@touch $@

lint: setup ## Check style, types, import walls and generated docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python docs/build.py --check

format: setup ## Put the code into the house style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# One thread each: the workers use the cores already. A worker keeps the tests of a file together, so that what
# they share is made once (worksteal), unless another one is idle.
quick test: export OMP_NUM_THREADS := 1
quick test: export OPENBLAS_NUM_THREADS := 1
PYTEST = $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

quick: setup ## Check style and types, and run the tests that take milliseconds
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(PYTEST) -q --durations=5 --durations-min=1 -m "not slow and not browser and not spark and not real"

# Counting lines and branches takes a third of the time again, so only CI does it.
test: setup system ## Run all tests; in CI with branch coverage
	$(PYTEST) $(if $(CI),--cov --cov-branch --cov-report=term --cov-fail-under=$(COV_MIN))

system: ## Install Chromium, PostgreSQL and Java for the tests where they are missing and may be
	@.ci/system

demo: setup ## Run the main job on the sample, into build/demo
	@$(BIN)/churnrisk demo --dir build/demo --sample data/sample

.venv/.docs-ready: pyproject.toml constraints.txt $(READY)
	@$(BIN)/python -m pip install -qq -c constraints.txt -e '.[docs]'
	@touch $@

docs: setup .venv/.docs-ready ## Write docs/cli.md and docs/features.md anew, and the site into build/site
	$(BIN)/python docs/build.py
	$(BIN)/python -m sphinx -q -W --keep-going -c docs -d build/doctrees . build/site
	@cp build/site/README.html build/site/index.html
	@echo "open build/site/index.html"

notebooks: setup ## Run all notebooks and save their outputs
	$(BIN)/python docs/notebooks.py

.venv-featuretools/.ready: benchmarks/featuretools_peers.txt
	@test -x .venv-featuretools/bin/python || $(PYTHON) -m venv .venv-featuretools
	@.venv-featuretools/bin/python -m pip install -qq -r benchmarks/featuretools_peers.txt
	@touch $@

bench: setup .venv-featuretools/.ready ## Run the benchmarks of sizes SIZES ("S M", or "S M L" with 10 GB of disk) and write docs/performance.md
	$(BIN)/python benchmarks/start.py
	$(BIN)/python benchmarks/performance.py $(SIZES) --featuretools .venv-featuretools/bin/python --write docs/performance.md

bench-exports: setup ## Measure how fast exports of known products are read beside plain CSV, into docs/reading.md
	$(BIN)/python benchmarks/connectors.py --write docs/reading.md

.venv-peers/.ready: benchmarks/peers.txt
	@test -x .venv-peers/bin/python || $(PYTHON) -m venv .venv-peers
	@.venv-peers/bin/python -m pip install -qq -r benchmarks/peers.txt
	@touch $@

bench-peers: setup .venv-peers/.ready ## Run the benchmark of the reasons beside SHAP
	$(BIN)/python benchmarks/reasons.py --peers .venv-peers/bin/python

.venv-monitor/.ready: benchmarks/monitor_peers.txt
	@test -x .venv-monitor/bin/python || $(PYTHON) -m venv .venv-monitor
	@.venv-monitor/bin/python -m pip install -qq -r benchmarks/monitor_peers.txt
	@touch $@

bench-monitor: setup .venv-monitor/.ready ## Measure false withdrawals of promises and how soon a broken one is noticed, beside MAPIE
	$(BIN)/python benchmarks/promise_monitor.py --peers .venv-monitor/bin/python

bench-promise: setup .venv-monitor/.ready ## Count broken promises in 1,000 simulated worlds, beside MAPIE's risk control
	$(BIN)/python benchmarks/promise.py --peers .venv-monitor/bin/python

.venv-quality/.ready: benchmarks/quality_peers.txt
	@test -x .venv-quality/bin/python || $(PYTHON) -m venv .venv-quality
	@.venv-quality/bin/python -m pip install -qq -r benchmarks/quality_peers.txt
	@touch $@

.venv-autogluon/.ready: benchmarks/quality_autogluon.txt
	@test -x .venv-autogluon/bin/python || $(PYTHON) -m venv .venv-autogluon
	@.venv-autogluon/bin/python -m pip install -qq --no-deps -r benchmarks/quality_autogluon.txt
	@touch $@

bench-quality: setup .venv-quality/.ready .venv-autogluon/.ready ## Measure the model beside tuned peers, and time to churn, into docs/quality.md
	$(BIN)/python benchmarks/quality.py
	$(BIN)/python benchmarks/quality.py --page
	$(BIN)/python benchmarks/time_to_churn.py --page

results: setup ## Write docs/results.md (needs the real sets) and the README's output anew
	$(BIN)/python docs/results.py
	$(BIN)/python docs/readme.py

clean: ## Delete what was generated, except .venv
	rm -rf build dist htmlcov .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
