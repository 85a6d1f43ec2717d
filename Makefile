# Keyturn. `make demo` and `make test` need Python 3.13 and make; Node is used if it is there.
SHELL := /bin/bash
.DEFAULT_GOAL := help

# The first of these that is a Python 3.13 and starts: a pyenv shim may exist without its version.
PYTHON := $(shell for p in "$$PYTHON" python3.13 python3 python \
	"$$(ls -d "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/3.13*/bin/python 2>/dev/null | sort -V | tail -1)"; do \
	[ -n "$$p" ] && "$$p" -c 'import sys, venv; sys.exit(sys.version_info[:2] != (3, 13))' 2>/dev/null \
	&& command -v "$$p" && break; done)

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

help: ## This list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 12

demo: $(READY) ## A local Azure, one key rotated, its consumers moved and proven (KEEP=1: leave it running)
	@$(BIN)/python -m sandbox demo $(if $(KEEP),--keep)

picture: $(READY) ## docs/demo.svg, drawn by the demo
	@$(BIN)/python -m sandbox demo --picture docs/demo.svg

test: $(READY) ## Every test, four at a time: most of them wait for a clock; those of the command start processes
	@$(BIN)/python -m pytest -n 4 --dist worksteal $(or $(ARGS),--ignore=tests/cli)
	@$(if $(ARGS),,$(BIN)/python -m pytest -n 2 --dist worksteal tests/cli)

coverage: $(READY) ## Every test, with branch coverage of the product
	@$(BIN)/python -m pytest --cov --cov-report=term $(ARGS)

check: $(READY) ## Format, lint, types, contracts, generated files up to date
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	PYTHONPATH=. $(BIN)/lint-imports
	$(BIN)/python -m tests.generated --check

generated: $(READY) ## Write the files that are made from the code
	$(BIN)/python -m tests.generated

catalog: $(READY) ## Write what is made from the catalog: supported services, roles, discovery query
	$(BIN)/python -m tests.generated --catalog

lock: $(READY) ## Pin the requirements again, with hashes and without index addresses
	$(BIN)/uv pip compile -q --universal --generate-hashes --python-version 3.13 --no-header --no-annotate \
	  --group app -o requirements.txt
	$(BIN)/uv pip compile -q --universal --generate-hashes --python-version 3.13 --no-header --no-annotate \
	  --group dev -c requirements.txt -o requirements-dev.txt

clean: ## Remove what the targets above have made
	rm -rf $(VENV) .coverage* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(READY): requirements-dev.txt sandbox/azurite/package-lock.json
	@[ -n "$(PYTHON)" ] || { echo "Keyturn needs Python 3.13, and found none on PATH or under pyenv." \
	  "Install it (pyenv install 3.13, apt install python3.13-venv, brew install python@3.13)" \
	  "or name one: make $(MAKECMDGOALS) PYTHON=/path/to/python3.13"; exit 1; }
	@echo "Setting up $(VENV) with $$($(PYTHON) --version) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@$(BIN)/python -m sandbox.azurite install
	@touch $@

.PHONY: help demo picture test coverage check generated catalog lock clean
