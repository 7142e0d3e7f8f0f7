# Two commands do all the set-up: `make demo` and `make test`. `make help` lists the rest.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help demo test test-unit lint types contract check lock recording calibrate benchmark benchmark-collection torture snapshots wheel system clean

help:  ## list what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-20s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "abkit needs Python 3.11 or newer, this is " + sys.version.split()[0] + ": make PYTHON=python3.11")'
	@$(PYTHON) -m venv $(VENV) || { echo "the venv module is missing: apt-get install python3-venv" >&2; exit 2; }
	@echo "installing the locked dependencies into $(VENV) (once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(STAMP)  ## the main job on the recording in data/: scorecard, verdict, dashboard
	@$(BIN)/abkit demo

test: $(STAMP) system  ## everything, with real Prometheus and Chromium
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

test-unit: $(STAMP)  ## what needs no server, no browser and no network
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "not prometheus and not envoy and not browser and not packaging"

system:
	@bash .ci/system-packages

lint: $(STAMP)  ## style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)  ## mypy, strict
	$(BIN)/mypy

contract: $(STAMP)  ## imports only go down the floors
	$(BIN)/lint-imports

check: test lint types contract  ## what CI runs

calibrate: $(STAMP)  ## false-positive rates, coverage and the cost of looks, on simulated worlds (about 15 minutes on two cores)
	$(BIN)/python -m tests.benchmarks.calibration

benchmark: $(STAMP)  ## timings, printed and not asserted
	$(BIN)/python -m tests.benchmarks.statistics
	$(BIN)/python -m tests.benchmarks.increments
	$(BIN)/python -m tests.benchmarks.routing

torture: $(STAMP)  ## 100 pulls killed at random moments, and a writer with four readers for 5 minutes
	$(BIN)/python -m tests.torture

benchmark-collection: $(STAMP)  ## from Prometheus to DuckDB: samples/s and memory beside what everybody writes (about 5 minutes)
	$(BIN)/python -m tests.benchmarks.collection

recording: $(STAMP)  ## write data/recordings/ again: the same bytes
	$(BIN)/python -m abkit.simulate.recording data

snapshots: $(STAMP)  ## write the reviewed manifests of the examples again: read git diff
	$(BIN)/python -m tests.routing.snapshots

lock: $(STAMP)  ## resolve pyproject.toml into requirements.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate --all-extras pyproject.toml -o requirements.lock

wheel: $(STAMP)  ## build dist/*.whl
	$(BIN)/python -m build --wheel --no-isolation

clean:  ## remove what was made here
	rm -rf $(VENV) dist abkit-demo .mypy_cache .ruff_cache .pytest_cache .hypothesis
