# Everything that is needed is set up by the targets themselves, into $(APM_CACHE), outside the tree.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

XDG_CACHE_HOME ?= $(HOME)/.cache
export APM_CACHE ?= $(XDG_CACHE_HOME)/apm
export PYTHONPATH := operator:.:tests
export PYTHONDONTWRITEBYTECODE := 1

LOCK := requirements/dev.txt
PYTHON := $(shell for p in python3.11 python3; do $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { command -v $$p; break; }; done)
VENV := $(APM_CACHE)/venv-$(shell { $(PYTHON) --version; cat $(LOCK); } 2>/dev/null | sha256sum | cut -c1-12)
RUN := $(VENV)/bin
CLUSTER := $(RUN)/python -m cluster
PYTEST := $(RUN)/python -m pytest

COMPILE := $(RUN)/uv pip compile --quiet --generate-hashes --no-header --no-annotate --python-version 3.11 \
  --no-emit-index-url --no-emit-find-links

KILLED := tests/unit/apm_operator/backup/test_verify.py tests/integration/test_backup_killed.py \
  tests/integration/test_backup_dump.py tests/integration/test_agents_call.py tests/integration/test_runtime_kills.py \
  tests/integration/test_events_killed.py tests/integration/test_runtime_faults.py

.PHONY: help venv lock generate dashboard-picture lint unit integration e2e test bench demo up down status images install soak clean-cache

help: ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r name text; do printf '  %-18s %s\n' "$$name" "$$text"; done

demo: venv ## from nothing to a conversation with two agents in a cluster
	@$(CLUSTER) demo

up: venv ## bring the local cluster up; prints the path of its kubeconfig
	@$(CLUSTER) up

down: venv ## remove the local cluster and all that it made
	@$(CLUSTER) down

status: venv ## tell whether the local cluster is up
	@$(CLUSTER) status

images: venv ## build the images and load them into the local cluster
	@$(CLUSTER) up
	@$(CLUSTER) load

install: venv ## install MongoDB and the operator into the local cluster
	@$(CLUSTER) install

test: venv ## all set-up, then the unit, integration and e2e tests
	@$(CLUSTER) up >/dev/null
	@$(PYTEST) tests/unit tests/integration tests/e2e

unit: venv ## tests of parts, without a cluster
	@$(PYTEST) tests/unit

integration: venv ## tests against a real API server and MongoDB
	@$(PYTEST) tests/integration

e2e: venv ## tests with real pods
	@$(PYTEST) tests/e2e

soak: venv ## kills of pods and backups, bit flips, and the e2e tests, with full counts and loads
	@APM_KILLS=$${APM_KILLS:-50} APM_FLIPS=$${APM_FLIPS:-20000} APM_MONGODB_AWAY=$${APM_MONGODB_AWAY:-60} \
	  APM_MODEL_RUNS=$${APM_MODEL_RUNS:-300} $(PYTEST) --timeout=3600 $(KILLED)
	@APM_SOAK=1 $(PYTEST) tests/e2e

bench: venv ## measure the operator and the runtime
	@$(RUN)/python -m bench

lint: venv ## style, types, import rules, generated files, manifests
	@$(RUN)/ruff check .
	@$(RUN)/ruff format --check .
	@$(RUN)/mypy
	@$(RUN)/lint-imports
	@$(RUN)/python -m apm_operator.api --check
	@$(RUN)/python deploy/render.py --check
	@$(RUN)/python docs/reference.py --check
	@$(RUN)/python docs/openapi.py --check
	@$(RUN)/python docs/metrics.py --check
	@$(RUN)/python -m deploy.dashboard --check
	@"$$($(CLUSTER) bin helm)" lint --quiet --strict charts/apm-operator

lock: venv ## make the locks in requirements/ anew from pyproject.toml
	@$(COMPILE) pyproject.toml --extra operator --output-file requirements/operator.txt
	@$(COMPILE) pyproject.toml --extra runtime --extra tracing --output-file requirements/runtime.txt
	@$(COMPILE) pyproject.toml --extra backup --output-file requirements/backup.txt
	@$(COMPILE) --group sbom --output-file requirements/sbom.txt
	@$(COMPILE) --group langgraph-dev --output-file requirements/langgraph-dev.txt
	@$(COMPILE) --no-deps --group series --output-file requirements/series.txt
	@$(COMPILE) pyproject.toml --all-extras --group dev --output-file requirements/dev.txt

generate: venv ## write the generated files anew: CRDs, plain manifests, reference, OpenAPI, metrics, dashboard
	@$(RUN)/python -m apm_operator.api
	@$(RUN)/python deploy/render.py
	@$(RUN)/python docs/reference.py
	@$(RUN)/python docs/openapi.py
	@$(RUN)/python docs/metrics.py
	@$(RUN)/python -m deploy.dashboard

dashboard-picture: venv ## draw the dashboard of docs/monitoring.md anew, from data of a test
	@APM_PICTURE=docs/images/dashboard.svg $(PYTEST) tests/integration/test_dashboard.py

venv: $(VENV)/.complete ## make the virtual environment of $(LOCK)

$(VENV)/.complete:
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11 or newer: install python3.11" >&2; exit 1; }
	@echo "==> virtual environment $(VENV)" >&2
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  test "$$(id -u)" = 0 || { echo "error: python3-venv is missing: install it, or run as root" >&2; exit 1; }; \
	  apt-get -q update >&2 && DEBIAN_FRONTEND=noninteractive apt-get -q install --yes --no-install-recommends python3-venv >&2; }
	@mkdir -p "$(APM_CACHE)"
	@$(PYTHON) -m venv "$(VENV)"
	@$(RUN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --requirement $(LOCK)
	@touch $@

clean-cache: venv ## remove the cluster and everything in the cache
	@$(CLUSTER) down
	@rm -rf --one-file-system "$(APM_CACHE)"
