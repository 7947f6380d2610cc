# foldcam: set-up and checks. `make demo` and `make test` need Python 3.11 to 3.13, git and make, nothing else.
SHELL := /bin/bash
VENV := .venv
# Processes that run the tests; each file's tests stay in one.
WORKERS := 2
# Where `make faults` takes its random moments from, and how often it repeats each fault.
SEED := $(shell date +%s)
ROUNDS := 5
BIN := $(VENV)/bin
READY := $(VENV)/.installed

# The first interpreter in range that really runs (a shim may be on the path and still fail).
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && { echo $$p; break; }; done)

# Compiled at install time, since a machine may forbid it later and then pays at every start.
UV_INSTALL := env -u PYTHONDONTWRITEBYTECODE VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip install --quiet --compile-bytecode

.PHONY: demo test faults lint bench install gpu lock clean format
.DEFAULT_GOAL := help

help:
	@echo "make demo     set up, then cross-validate five backbones on 200 real images"
	@echo "make test     set up, then run all tests"
	@echo "make faults   set up, then break things many times at random moments (SEED=n ROUNDS=n, printed, have it again)"
	@echo "make lint     set up, then ruff, mypy and the import rules"
	@echo "make bench    set up, then measure speed and memory against plain programs (ROW=name for one row)"
	@echo "make install  set up only: .venv, the locked packages, .venv/bin/foldcam"
	@echo "make gpu      exchange TensorFlow's CPU build in .venv for the CUDA one (Linux)"
	@echo "make lock     resolve requirements.lock anew from pyproject.toml"

install: $(READY)

$(READY): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "foldcam needs Python 3.11, 3.12 or 3.13, and none was found on the path. Install one, or name it: make $(or $(MAKECMDGOALS),install) PYTHON=/path/to/python3.12" >&2; exit 2; }
	@echo "Setting up $(VENV) with $$($(PYTHON) --version) (once; a few minutes on a new machine)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@sed -n '/^uv==/,/^[^ ]/{/^uv==/p;/^ /p}' requirements.lock > $(VENV)/uv.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $(VENV)/uv.lock
	@$(UV_INSTALL) --require-hashes -r requirements.lock
	@$(UV_INSTALL) --no-deps --editable .
	@touch $@

demo: install
	$(BIN)/foldcam demo

test: install
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(ARGS)

faults: install
	@echo "faults: SEED=$(SEED) ROUNDS=$(ROUNDS)"
	FOLDCAM_FAULTS=1 FOLDCAM_FAULTS_SEED=$(SEED) FOLDCAM_FAULTS_ROUNDS=$(ROUNDS) \
		$(BIN)/python -m pytest -m "faults or long" --timeout=7200 $(ARGS)

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: install
	$(BIN)/python -m tests.benchmarks.run $(ROW) $(ARGS)

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

gpu: install
	$(BIN)/uv pip uninstall --python $(BIN)/python tensorflow-cpu
	$(UV_INSTALL) --reinstall-package tensorflow -e '.[gpu]'
	$(BIN)/uv pip uninstall --python $(BIN)/python tensorflow-cpu
	$(UV_INSTALL) --reinstall-package tensorflow --no-deps tensorflow

lock: install
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --python-version 3.11 \
		--extra dev --custom-compile-command "make lock" pyproject.toml -o requirements.lock
	UV=$(BIN)/uv sh infra/docker/lock.sh

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
