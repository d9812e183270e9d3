# `make check` is what a change must pass. BIN is where the tools are: by default the checkout's own environment.
BIN ?= .venv/bin

.PHONY: install check format lint types layers test bench simulate openapi torture torture-short fuzz

install:
	python3 -m venv .venv
	.venv/bin/pip install --editable '.[dev]'

check: format lint types layers test

format:
	$(BIN)/ruff format --check .

lint:
	$(BIN)/ruff check .

types:
	$(BIN)/mypy --strict

layers:
	$(BIN)/lint-imports

test:
	$(BIN)/pytest

bench:
	@test -n "$(wildcard benchmarks/*.py)" || { echo "there are no benchmarks yet" >&2; exit 1; }
	for file in $(sort $(wildcard benchmarks/bench_*.py)); do $(BIN)/python $$file || exit 1; done

# Seeds of the simulator; `python -m tests.simulation SEED` shows what happens in one.
SEEDS ?= 100000
FIRST ?= 0
simulate:
	$(BIN)/python -m tests.simulation $(FIRST) $(SEEDS)

# Requests to the HTTP interface for each of its operations, by its OpenAPI document; the tests make fewer, and always the same.
EXAMPLES ?= 2000
openapi:
	FMSH_TEST_EXAMPLES=$(EXAMPLES) $(BIN)/pytest -n 0 tests/cli/test_openapi.py

# The rows of docs/guarantees.md on real processes and files, in half an hour or five minutes; ROWS="kills posts" picks some.
ROWS ?=
torture:
	$(BIN)/python -m tests.torture --full $(ROWS)

torture-short:
	$(BIN)/python -m tests.torture --short $(ROWS)

# Hostile texts for the parser and the check, for so many seconds.
FUZZ_S ?= 60
fuzz:
	$(BIN)/python -m tests.lang.fuzz $(FUZZ_S)
