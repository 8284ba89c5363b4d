# `make up` runs the service on this machine, `make test` runs every test.
.DEFAULT_GOAL := help
.PHONY: help up test tests cluster-tests other-tests unit soak lint docs format lock clean

STATE := .run
PYTHON ?=
HUB ?=
SECONDS ?=
SEED ?=
# What gives the tests of the chart a cluster, where KUBECONFIG names none.
CLUSTER ?=
VENV := $(STATE)/venv
BIN := $(VENV)/bin
LOCAL := $(STATE)/venv-local
# Side by side: what works has the processor while others wait. Each one's output comes when it has ended.
TOGETHER = $(MAKE) --no-print-directory --jobs --output-sync

help: ## Say what each target does
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

up: ## Run the service on this machine until Ctrl-C; with HUB=1, beside a JupyterHub
	@deployments/local/environment "$(LOCAL)" requirements/local.txt "$(PYTHON)"
	@$(if $(HUB),deployments/local/hub/install "$(STATE)" "$(PYTHON)")
	@$(if $(HUB),STAGER_HUB=true) exec $(LOCAL)/bin/python -m deployments.local

test: ## Run lint, build the manual, and run every test; how long each took is in .run/tests-*.xml
	@deployments/local/test_packages
	@deployments/local/environment "$(VENV)" requirements/dev.txt "$(PYTHON)"
	+@$(TOGETHER) lint unit tests

tests: docs
	@deployments/local/environment "$(STATE)/venv-clients" requirements/clients.txt "$(PYTHON)"
	@! command -v npm >/dev/null || deployments/local/hub/install "$(STATE)" "$(PYTHON)"
	+@$(CLUSTER) $(TOGETHER) cluster-tests other-tests

cluster-tests:
	$(BIN)/python -m pytest -q tests/cluster/pool --junit-xml $(STATE)/tests-pool.xml
	$(BIN)/python -m pytest -q tests/cluster --ignore tests/cluster/pool --junit-xml $(STATE)/tests-cluster.xml

# They give way to those on the cluster, which wait half of the time and fail where they wait too long.
other-tests:
	nice -n 5 $(BIN)/python -m pytest -q --ignore tests/cluster -n 3 --junit-xml $(STATE)/tests-others.xml

unit: ## Run the tests that need no server on every other Python that is installed
	@deployments/local/unit "$(STATE)"

soak: ## Load the service for half an hour (SECONDS=) while its parts are killed by chance (SEED=), then look what is left
	@deployments/local/environment "$(VENV)" requirements/dev.txt "$(PYTHON)"
	$(BIN)/python -m tests.soak $(if $(SECONDS),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED))

lint: ## Check style, types, import arrows, spelling, fragments and dependencies
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell
	$(BIN)/towncrier build --draft --version next >/dev/null
	$(BIN)/deptry .
	$(BIN)/deptry . --extend-exclude "tests|benchmarks|deployments/local|docs" --ignore DEP002

docs: ## Build the manual, and check its links
	@deployments/local/manual "$(STATE)"

format: ## Format the code
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

lock: ## Resolve the requirements anew
	@deployments/local/lock "$(STATE)" "$(PYTHON)"

clean: ## Remove everything that was made, the records included
	rm -rf $(STATE) build/doctrees build/html build/links build/manual/*
