# make help lists the targets. Only python3 (3.11 or newer) and make are needed.
.DEFAULT_GOAL := help
.PHONY: help setup data demo test lint format lock schema clean-demo
SHELL := /bin/bash

PYTHON ?= python3
CORES ?= 2
VENV := .venv
BIN := $(VENV)/bin
# The environment is as new as the lock it was made from; a second call sets nothing up again.
READY := $(VENV)/.ready

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sort | awk -F':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

setup: $(READY) ## make .venv from requirements.lock

$(READY): requirements.lock requirements.uv.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: $(PYTHON) is older than 3.11; name another: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.uv.lock
	$(BIN)/uv pip sync --python $(BIN)/python --require-hashes requirements.lock
	$(BIN)/uv pip install --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(READY) ## the whole pipeline on a small real dataset: tables, figures, report
	$(BIN)/snakemake -c$(CORES) all --configfile configs/demo.yaml
	@echo "tables and figures: results/demo/tables, results/demo/figures"
	@echo "report, to open in a browser: results/demo/report/report.html"

# MIRROR names a folder or URL that is tried before the addresses in archives.yaml; DATA holds more
# keys of the config's section data. Both reach the script as they are, whatever they hold.
STORE ?= original
CONFIG ?= config.yaml
export DATASET STORE CONFIG MIRROR DATA
data: $(READY) ## fetch, prepare and show one dataset: make data DATASET=omniglot
	@test -n "$$DATASET" || { echo "error: name a dataset: make data DATASET=omniglot"; exit 2; }
	@$(BIN)/python workflow_scripts/make_data.py --cores $(CORES) --config "$$CONFIG" \
	  --dataset "$$DATASET" --store "$$STORE" --mirror "$$MIRROR" \
	  $(if $(filter command,$(word 1,$(origin DATA))),--data "$$DATA")

test: $(READY) ## all tests
	OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest

lint: $(READY) ## style of Python and Snakemake files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/snakemake --lint --configfile configs/demo.yaml

format: $(READY) ## put Python and Snakemake files into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile rules

schema: $(READY) ## write config.schema.json for editors
	$(BIN)/python -c 'from dmlbench.config.load import json_schema; print(json_schema(), end="")' > config.schema.json

lock: $(READY) ## pin all packages anew from pyproject.toml, with hashes
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header --upgrade --extra dev pyproject.toml -o requirements.lock
	grep -A1000 '^uv==' requirements.lock | awk 'NR > 1 && /^[^ ]/ {exit} {print}' > requirements.uv.lock
