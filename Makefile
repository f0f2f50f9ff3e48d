# make help lists the targets. Only python3 (3.11 or newer) and make are needed.
.DEFAULT_GOAL := help
.PHONY: FORCE help setup data demo estimate status power check rescore pdf preflight resume test test-slow test-faults \
  test-dvc test-slurm test-slurm-slow lint format lock schema
SHELL := /bin/bash

PYTHON ?= python3
CORES ?= 2
VENV := .venv
BIN := $(VENV)/bin
# The environment is as new as the lock it was made from; a second call sets nothing up again.
READY := $(VENV)/.ready
# One that was moved, copied, or whose Python is gone, is set up anew: its scripts could not run.
MOVED := $(shell test -e $(READY) && { $(BIN)/python -I workflow_scripts/envs/belongs.py 2>/dev/null || echo FORCE; })
FORCE:

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sort | awk -F':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(READY) ## make .venv from requirements.lock

# Compiled once here (23 s): where Python may not write what it compiles, each job compiled PyTorch anew (7 s).
$(READY): requirements.lock requirements.uv.lock $(MOVED)
	@$(if $(MOVED),echo "$(VENV) was made for another folder or Python: it is set up anew")
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: $(PYTHON) is older than 3.11; name another: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.uv.lock
	$(BIN)/uv pip sync --python $(BIN)/python --require-hashes --compile-bytecode requirements.lock
	$(BIN)/uv pip install --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(READY) ## the whole pipeline on a small real dataset: tables, figures, report
	$(BIN)/snakemake -c$(CORES) all --configfile configs/demo.yaml
	@echo "tables and figures: results/demo/tables, results/demo/figures"
	@echo "report, to open in a browser: results/demo/report/report.html"

# MIRROR names a folder or URL that is tried before the published addresses; DATA holds more
# keys of the config's section data. Both reach the script as they are, whatever they hold.
STORE ?= original
CONFIG ?= config.yaml
export DATASET STORE CONFIG MIRROR DATA
data: $(READY) ## fetch, prepare and show one dataset: make data DATASET=omniglot
	@test -n "$$DATASET" || { echo "error: name a dataset: make data DATASET=omniglot"; exit 2; }
	@$(BIN)/python workflow_scripts/data.py make --cores $(CORES) --config "$$CONFIG" \
	  --dataset "$$DATASET" --store "$$STORE" --mirror "$$MIRROR" \
	  $(if $(filter command,$(word 1,$(origin DATA))),--data "$$DATA")

# The first question for states comes after 40 s otherwise, and a check has no jobs to wait for.
preflight: $(READY) ## whether the cluster can do what CONFIG asks of it
	$(BIN)/snakemake --profile slurm preflight --configfile $(CONFIG) \
	  --slurm-init-seconds-before-status-checks 1

resume: $(READY) ## go on on the cluster after Snakemake was killed: make resume CONFIG=...
	$(BIN)/python workflow_scripts/resume.py --config $(CONFIG)

# CONFIG is the one named above.
estimate: $(READY) ## before a run: jobs, hours, disk: make estimate CONFIG=configs/mnist.yaml
	@$(BIN)/python workflow_scripts/plan.py estimate --config "$$CONFIG"

status: $(READY) ## how far a run is: make status CONFIG=configs/mnist.yaml
	@$(BIN)/python workflow_scripts/plan.py status --config "$$CONFIG"

# SPREAD, in points, takes the place of what the seeds of finished runs show.
power: $(READY) ## how many seeds show 0.5, 1, 2 points: make power CONFIG=configs/mnist.yaml [SPREAD=0.8]
	@$(BIN)/python workflow_scripts/plan.py power --config "$$CONFIG" $(if $(SPREAD),--spread "$(SPREAD)")

RESULTS ?= results/demo
export RESULTS
check: $(READY) ## hold results against the rules of docs/protocol.md: make check RESULTS=results/mnist
	@$(BIN)/python workflow_scripts/check.py "$$RESULTS"

# What is stored is measured anew and tabled; nothing is trained or embedded.
rescore: $(READY) ## metrics and tables anew from stored embeddings: make rescore CONFIG=configs/mnist.yaml
	$(BIN)/snakemake -c$(CORES) rescore --configfile "$$CONFIG" --forcerun evaluate \
	  --allowed-rules download prepare pairs duplicates evaluate check collect tables overview rescore

pdf: $(READY) ## all tables and figures in one PDF, by LaTeX: make pdf CONFIG=configs/mnist.yaml
	$(BIN)/snakemake -c$(CORES) document --configfile "$$CONFIG"

# Files of tests side by side; threads that spin while they wait would take each other's cores.
test: $(READY) ## the tests, but for the slow ones, those of DVC and those on a real Slurm
	OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest -n $(CORES) --dist loadfile -m "not slow"

test-slow: $(READY) ## the slow ones: whole pipelines, ten kills, 5,000 runs planned
	OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest -n $(CORES) --dist loadfile -m slow tests/unit tests/integration

test-faults: $(READY) ## every damage to every file, each disk that fails, kills: 900 faults, by hand
	OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest -n $(CORES) --dist loadfile tests/faults

test-dvc: $(READY) ## dvc repro on fresh machines
	$(BIN)/python -m pytest tests/dvc

test-slurm: $(READY) ## tests on a private Slurm (Debian: slurm-wlm munge slurmdbd mariadb-server)
	OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest tests/slurm -m "not slowest"

test-slurm-slow: $(READY) ## the slowest of them: nodes that die, and preemption
	OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest tests/slurm -m slowest

lint: $(READY) ## style of Python and Snakemake files, and which room imports which
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
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
