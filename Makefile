# Everything a person types. Nothing here needs root, a database server or a broker.

VENV := .venv
PY := $(VENV)/bin/python
PIP := scripts/pip $(PY)
RUNTIME := $(VENV)/.runtime
DEVELOPMENT := $(VENV)/.development

.DEFAULT_GOAL := help
.PHONY: help setup run dev test soak lint shape format lock bench clean

help: ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 18

setup: $(DEVELOPMENT) ## the environment in .venv, for running and testing; afterwards nothing needs the network

run: $(RUNTIME) ## the whole site on http://127.0.0.1:8000 (PORT, VAR_DIR, DATABASE_URL, REDIS_URL, DEMO=0 change it)
	@$(PY) -m marketplace.supervisor

dev: $(DEVELOPMENT) ## as run, with DEBUG, the debug toolbar, and processes that load saved code anew
	@$(PY) -m marketplace.supervisor --development

test: $(DEVELOPMENT) ## every test: SQLite, then PostgreSQL, then the whole stack (ARGS="…": pytest's, on SQLite only)
	@$(PY) -m tests.run $(ARGS)

soak: $(DEVELOPMENT) ## the long forms of tests, which take minutes each and have a short form in `make test`
	@$(PY) -m tests.run --soak

lint: $(DEVELOPMENT) ## ruff, mypy, import rules
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	SECRET_KEY=unused $(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

shape: $(DEVELOPMENT) ## how the code is laid out, against its limits (ARGS="--worst recommender" lists the places)
	@$(PY) -m scripts.shape $(ARGS)

format: $(DEVELOPMENT) ## rewrite the code as `make lint` wants it
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

lock: $(DEVELOPMENT) ## write requirements.lock anew from requirements.txt, with the hashes of all files
	@$(PY) -m scripts.lock

bench: $(DEVELOPMENT) ## freshness: how long until a saved photo is found (BENCH=name for another)
	$(PY) -m benchmarks $(or $(BENCH),freshness)

clean: ## forget the environment; data in var/ stays
	rm -rf $(VENV)

$(PY):
	@scripts/venv $(VENV) $(PYTHON)

$(RUNTIME): requirements.txt | $(PY)
	@$(PIP) -r requirements.txt
	@touch $@

$(DEVELOPMENT): requirements.txt requirements-dev.txt | $(PY)
	@$(PIP) -r requirements-dev.txt
	@touch $(RUNTIME) $@
