# The words the README uses. `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help setup sample repro notebook test slow figures emulated law long machines cluster cells lint lock
PYTHON ?= python3
BIN := .venv/bin
# DVC starts the stages as `python -m …`: the environment's own comes first.
export PATH := $(CURDIR)/$(BIN):$(PATH)
unexport PYTHONDONTWRITEBYTECODE
COMPILE := uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-emit-index-url \
  --no-annotate --custom-compile-command "make lock"

help: ## List the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

setup: .venv/.done ## Make .venv from the lock file

.venv/.done: requirements.txt pyproject.toml
	@if command -v uv >/dev/null; then \
	  uv venv --quiet --allow-existing --python $(PYTHON) .venv && \
	  uv pip install --require-hashes --compile-bytecode --python $(BIN)/python -r requirements.txt && \
	  uv pip install --quiet --no-deps --no-build-isolation --python $(BIN)/python -e .; \
	else \
	  $(PYTHON) -m venv .venv && \
	  $(BIN)/python -m pip install --require-hashes -r requirements.txt && \
	  $(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .; \
	fi
	@replica plots --offline
	@touch $@

sample: setup ## Quick start: the whole pipeline on embedded real data, no network
	@replica repro sample
	@replica table sample
	@replica verify sample --written || true # on another CPU, or after an edit, other bytes are no failure

repro: setup ## The official run: every variant on MNIST and CIFAR-10
	@replica repro
	@replica table

notebook: sample .venv/.notebook $(patsubst %.py,%.ipynb,$(wildcard notebooks/*.py)) ## The notebooks in Jupyter, after the quick start
	@jupyter lab --LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate $(LAB) notebooks

# A notebook that is there has its user's answers in it.
notebooks/%.ipynb: notebooks/%.py | .venv/.notebook
	@if [ -e $@ ]; then echo "$@ is kept, though $< is newer; delete it to have it anew"; \
	else jupytext --quiet --to ipynb --output $@ $<; fi

.venv/.notebook: requirements-notebook.txt .venv/.done
	@if command -v uv >/dev/null; then \
	  uv pip install --quiet --require-hashes --compile-bytecode --python $(BIN)/python -r requirements-notebook.txt; \
	else \
	  $(BIN)/python -m pip install --quiet --require-hashes -r requirements-notebook.txt; \
	fi
	@touch $@

cluster: .venv/.cluster ## What `replica repro --cluster` needs besides

.venv/.cluster: requirements-cluster.txt .venv/.done
	@if command -v uv >/dev/null; then \
	  uv pip install --quiet --require-hashes --compile-bytecode --python $(BIN)/python -r requirements-cluster.txt; \
	else \
	  $(BIN)/python -m pip install --quiet --require-hashes -r requirements-cluster.txt; \
	fi
	@touch $@

test: setup ## The tests
	@python -m pytest

slow: setup ## Sweeps, DVC's queue, nodes that die, the editor's questions, from beginning to end: minutes
	@python -m pytest -m slow

figures: setup ## Every kind of figure from made-up data: tests/golden/figures/, on one sheet in plots/rendered/
	@PYTHONPATH=.:tests python tests/figures/sheet.py plots/rendered/sheet.png

emulated: setup ## The same bytes on three emulated CPUs, four minutes (needs qemu-user)
	@python -m pytest -m emulated

law: setup ## What the check accepts, trains: 2,000 entries drawn from the schema, or EXAMPLES=100
	@python -m pytest -m long -n0 tests/schema/test_law.py

long: setup .venv/.notebook ## A hundred kills at random moments, twenty rounds of everything at once: hours
	@python -m pytest -m long -n0 -s

machines: setup .venv/.cluster ## Hosts with networks of their own, SSH, S3, a real Slurm: as root, minutes
	@python -m pytest -m machines -n0 -s

cells: setup .venv/.notebook ## Every notebook's cells and every command of the tutorial: minutes
	@python -m pytest -m long tests/docs

lint: setup ## Lint, format and types
	@ruff check . && ruff format --check . && mypy

lock: ## Write the three lock files anew from pyproject.toml (needs uv)
	@$(COMPILE) --extra dev --output-file requirements.txt pyproject.toml
	@$(COMPILE) --extra notebook --constraint requirements.txt --output-file requirements-notebook.txt pyproject.toml
	@$(COMPILE) --extra cluster --constraint requirements.txt --output-file requirements-cluster.txt pyproject.toml
