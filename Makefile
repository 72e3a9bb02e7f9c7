# The project's commands. `make demo` and `make test` set up all they need from Python >= 3.11, make and a C compiler.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
PY := $(VENV)/bin/python
PYTEST := $(VENV)/bin/pytest
SUITE ?= api
CONFORMANCE ?= ../shared/conformance
K ?=
HOST ?=

.PHONY: help setup demo test test-fast lint format bench conformance envtest properties requirements clean

help: ## These lines
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

$(VENV)/.ready: requirements/bootstrap.txt requirements/dev.txt pyproject.toml setup.py tools/setup.sh
	@bash tools/setup.sh $(VENV)
	@touch $@

setup: $(VENV)/.ready ## The local environment (.venv) with everything pinned

demo: setup ## The talk's live demo on real Ray (KEEP=1 leaves it up)
	@$(PY) examples/live-demo/demo.py

lint: setup ## ruff, mypy --strict, import-linter
	@$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check -q . && $(VENV)/bin/mypy && $(VENV)/bin/lint-imports | tail -2

format: setup ## Lets ruff format and mend
	@$(VENV)/bin/ruff check --fix -q . ; $(VENV)/bin/ruff format -q .

test-fast: setup ## The tests that take under a minute together
	@$(PYTEST) -n 2 -m "not slow and not ray and not conformance" tests

test: lint ## All tests, fast ones first
	@echo "== fast tests"; $(PYTEST) -n 2 -m "not slow and not ray and not conformance" tests
	@echo "== slow tests"; $(PYTEST) -m "slow and not ray and not conformance" tests
	@echo "== conformance"; $(PYTEST) -m "conformance" tests
	@echo "== real Ray"; $(PYTEST) -m "ray" tests

conformance: setup ## SUITE=api|ray|queue|kueue [CONFORMANCE=DIR] [K=filter] [HOST=kube-apiserver]: against what the real systems did
	@CONFORMANCE="$(CONFORMANCE)" HOST="$(HOST)" $(PY) -m tests.conformance.$(SUITE) $(if $(K),-k "$(K)")

properties: setup ## The queue's properties, 2,000 examples each (an hour or two)
	@PROPERTY_EXAMPLES=2000 $(PYTEST) -n 2 tests/queue/properties tests/queue/topology

envtest: ## A real etcd, kube-apiserver, kube-controller-manager and kube-scheduler from Go modules; prints their folder (needs Go)
	@python3 tools/envtest/build.py

bench: setup ## The speed goals: figure and target each; writes docs/performance.md
	@$(PY) -m bench

requirements: setup ## Pins the requirements anew, with hashes and without addresses
	@$(VENV)/bin/uv pip compile pyproject.toml --extra ray --group test --group lint --group build --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate -q -o requirements/dev.txt

clean: ## Removes the local environment and caches
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build *.egg-info
