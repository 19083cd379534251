# Every target makes the virtual environment first, when it is not there or older than what it is made from.
#   make PYTHON=python3.12      another interpreter (3.11 or newer)
#   make VENV=/tmp/venv         another place
#   make serve ARGS="--port 9000"

PYTHON ?= python3
VENV ?= .venv
ARGS ?=

BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: demo serve test check format bench peers docs clean help

demo: $(READY)  ## hear (or keep) a first sentence, and how fast it began
	$(BIN)/python examples/demo.py $(ARGS)

serve: $(READY)  ## run the server
	$(BIN)/firstaudio serve $(ARGS)

test: $(READY)  ## run the tests
	$(BIN)/pytest -n 2 --dist loadfile $(ARGS)

check: $(READY)  ## lint, format and types, as CI does
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)  ## mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY)  ## measure what the README claims
	$(BIN)/python benchmarks/added_latency.py
	$(BIN)/python benchmarks/concurrency.py
	$(BIN)/python benchmarks/memory.py

peers: $(READY)  ## measure the neural engine beside its peers, ten minutes
	$(BIN)/python -m benchmarks.vs_peers $(ARGS)

docs: $(READY)  ## write the pages that are made from the code
	$(BIN)/python -c 'from firstaudio.config import markdown; print(markdown(), end="")' > docs/configuration.md
	$(BIN)/python -m firstaudio.bench.figures.metrics_page > docs/metrics.md

clean:  ## remove everything that was made
	rm -rf .venv build dist out demo.wav benchmark_sessions .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*##  *\(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "firstaudio needs Python 3.11 or newer: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@
