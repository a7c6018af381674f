# Every way to work with this repository. `make` alone lists them.

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test faults check bench install lock clean

PYTHON ?=
ARGS ?=
N ?= 10
SEED ?=
export PYTHON

BIN := .venv/bin
SHOW := @printf '\n== %s ==\n'

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: install ## Install, then show Penstock at work on sample data
	@$(BIN)/penstock demo aegis
	@$(BIN)/penstock demo medallion

test: install ## Install, then run the tests (ARGS="-k lanes" is handed to pytest)
	@$(BIN)/pytest $(ARGS)

faults: install ## Kill, cut, fill and freeze things, N=1000 times over (SEED=… ARGS=… do one again)
	@PENSTOCK_FAULTS=$(N) PENSTOCK_SEED=$(SEED) $(BIN)/pytest -x -m faults $(or $(ARGS),tests/faults)

check: install ## All that CI runs: lint, format, types, import arrows, tests
	$(SHOW) 'ruff check'
	@$(BIN)/ruff check
	$(SHOW) 'ruff format --check'
	@$(BIN)/ruff format --check
	$(SHOW) 'mypy'
	@$(BIN)/mypy
	$(SHOW) 'pyright'
	@PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(BIN)/pyright --warnings
	$(SHOW) 'lint-imports'
	@$(BIN)/lint-imports
	$(SHOW) 'make test'
	@$(MAKE) --no-print-directory test

bench: install ## Measure speed and size, and compare with the promises
	@$(BIN)/python -m benchmarks $(ARGS)

install: ## Put what requirements.lock names, and this repository, into .venv
	@sh tools/install.sh

lock: ## Choose versions and write requirements.lock (ARGS=--upgrade takes the newest)
	@sh tools/lock.sh $(ARGS)

clean: ## Remove what the other targets made
	rm -rf .venv .tools .penstock dist build
	rm -rf .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	@find src systems tests benchmarks tools -type d \( -name __pycache__ -o -name '*.egg-info' \) \
		-prune -exec rm -rf {} + 2>/dev/null || true
