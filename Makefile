# The daily commands. `make` alone lists them. Each target does all the set-up that it needs, from a fresh clone with
# nothing but Python 3.11, make and a package index; set-up that is done already costs nothing.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory
unexport VIRTUAL_ENV

# Extra words for the program that a target starts: `make run ARGS="--port 9000"`, `make test ARGS="tests/kernel -k money"`.
ARGS ?=

# Tests wait for a third of their time, for processes that start and for clocks: three of them keep two cores busy.
TEST_WORKERS ?= 3

# ---- set-up: Python 3.11 that is here, uv from the PATH or in .uv/, the environment in .venv/ -------------------------

# uv never fetches a Python of its own: the one that stands here is the one that is supported.
export UV_PYTHON_DOWNLOADS := never
# Without bytecode each start compiles all that it loads: 3 s in place of 1.
unexport PYTHONDONTWRITEBYTECODE
# The program itself, not a shim that stands for it: uv makes the environment anew when its Python seems another one.
PYTHON ?= $(shell for python in python3.11 python3 python; do \
	"$$python" -c 'import os, sys; sys.version_info[:2] == (3, 11) or sys.exit(1); print(os.path.realpath(sys.executable))' \
	2>/dev/null && break; done)
UV := $(or $(shell command -v uv 2>/dev/null),.uv/bin/uv)
BIN := .venv/bin
WITH_RUN := .venv/.with-run
WITH_DEV := .venv/.with-dev

.uv/bin/uv:
	@[ -n "$(PYTHON)" ] || { echo "Samovar needs Python 3.11 on the PATH (or: make PYTHON=/path/to/python3.11 ...)." >&2; exit 1; }
	@echo "Setting up: uv is not on the PATH, so it goes into ./.uv"
	@rm -rf .uv && "$(PYTHON)" -m venv .uv
	@.uv/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9,<1'

# The two stamps are newer than the lock exactly when the environment holds what the lock says.
$(WITH_RUN): pyproject.toml uv.lock | $(UV)
	@[ -n "$(PYTHON)" ] || { echo "Samovar needs Python 3.11 on the PATH (or: make PYTHON=/path/to/python3.11 ...)." >&2; exit 1; }
	@echo "Setting up: the locked packages into ./.venv"
	@if [ -e $(WITH_DEV) ]; then \
		"$(UV)" sync --frozen --quiet --python "$(PYTHON)" && touch $(WITH_DEV); \
	else \
		"$(UV)" sync --frozen --quiet --python "$(PYTHON)" --no-dev; \
	fi
	@touch $@

$(WITH_DEV): pyproject.toml uv.lock | $(UV)
	@[ -n "$(PYTHON)" ] || { echo "Samovar needs Python 3.11 on the PATH (or: make PYTHON=/path/to/python3.11 ...)." >&2; exit 1; }
	@echo "Setting up: the locked packages, the developer's too, into ./.venv"
	@"$(UV)" sync --frozen --quiet --python "$(PYTHON)"
	@touch $(WITH_RUN) $@

# ---- targets --------------------------------------------------------------------------------------------------------

.PHONY: help run dev test check lint format install-dev bench soak chaos db-migrate openapi clean
.PHONY: check-format check-lint check-types check-imports check-house check-spelling check-dependencies check-lock check-openapi check-prices check-env check-models

help: ## list these commands
	@echo "make <target> [ARGS='...']"; echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-13s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

run: $(WITH_RUN) ## start Samovar on http://127.0.0.1:8080, data in ./data (honours every SAMOVAR_* variable)
	@exec $(BIN)/samovar serve $(ARGS)

dev: $(WITH_DEV) ## the same, started again whenever a source file changes
	@exec $(BIN)/samovar serve --reload $(ARGS)

test: $(WITH_DEV) ## all tests but the soak; PostgreSQL and Redis are used where they answer
	@$(BIN)/python -m pytest -n $(TEST_WORKERS) -m "not soak" $(ARGS)

check: check-format check-lint check-types check-imports check-house check-spelling check-dependencies check-lock check-openapi check-prices check-env check-models ## every check that needs no running of the program
	@echo "All checks passed."

check-format: $(WITH_DEV)
	@$(BIN)/ruff format --check .

check-lint: $(WITH_DEV)
	@$(BIN)/ruff check .

check-types: $(WITH_DEV)
	@$(BIN)/mypy
	@MYPYPATH=src:tools $(BIN)/mypy --strict tools/*.py scripts/*.py

check-imports: $(WITH_DEV)
	@$(BIN)/lint-imports

check-house: $(WITH_DEV)
	@$(BIN)/python tools/tidy.py

check-spelling: $(WITH_DEV)
	@git ls-files -z | xargs -0 $(BIN)/codespell

check-dependencies: $(WITH_DEV)
	@$(BIN)/deptry src

check-lock: $(WITH_DEV)
	@"$(UV)" lock --check --quiet || { echo "uv.lock does not match pyproject.toml: run 'uv lock' and commit it." >&2; exit 1; }

check-openapi: $(WITH_DEV)
	@$(BIN)/samovar openapi --check

check-prices: $(WITH_DEV)
	@$(BIN)/python tools/refresh_prices.py --check

check-env: $(WITH_DEV)
	@$(BIN)/python tools/env_example.py --check

check-models: $(WITH_DEV)
	@$(BIN)/python tools/models_table.py --check

lint: check-format check-lint check-types check-imports check-house ## the quick half of check: format, lint, types, imports, house rules

format: $(WITH_DEV) ## format the code and mend what the linter can mend
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

install-dev: $(WITH_DEV) ## set up everything for daily work and do nothing else
	@echo "Ready: ./.venv holds what uv.lock says."

bench: $(WITH_DEV) ## the benchmarks: requests a second, latency, memory, start-up time
	@$(BIN)/python -m bench $(ARGS)

soak: $(WITH_DEV) ## the long proofs: flat memory over many calls, nothing lost
	@$(BIN)/python -m pytest -m soak $(ARGS)

chaos: $(WITH_DEV) ## the tests that break what Samovar stands on while it works
	@$(BIN)/python -m pytest -m chaos $(ARGS)

db-migrate: $(WITH_RUN) ## bring the database to this version's schema
	@$(BIN)/samovar migrate $(ARGS)

openapi: $(WITH_DEV) ## write openapi.json anew
	@$(BIN)/samovar openapi --output openapi.json

clean: ## remove the environments, caches and build results; ./data stays
	@rm -rf .venv .uv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .schemathesis build dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
