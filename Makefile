# make demo, make test: each sets up what it needs and does its job. See also: setup, lint, format.
PYTHON ?= python3
VENV ?= .venv
DEMO_DIR ?= work_dirs/demo
TESTS ?= tests
WORKERS ?= $(shell nproc)

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.PHONY: help setup demo test lint format clean

BIN := $(VENV)/bin
PY := $(BIN)/python
REQUIREMENTS := $(sort $(wildcard requirements/*.txt))
# Named after what the requirements say: another branch with other pins sets up again.
STAMP := $(VENV)/.ready-$(shell cat $(REQUIREMENTS) setup.cfg | cksum | cut -d ' ' -f 1)
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
LOCK := $(wildcard requirements/lock-py$(VERSION).txt)
PIP := $(PY) -m pip install --disable-pip-version-check -qq --retries 5 \
	--constraint requirements/constraints.txt $(addprefix --constraint ,$(LOCK))

help:
	@echo 'make demo    poses in a rendered clip by the shipped weights, then a short training'
	@echo 'make test    run every test (TESTS="tests/test_compat.py" for some)'
	@echo 'make lint    check style and formatting'
	@echo 'make format  repair formatting'
	@echo 'make setup   create $(VENV) and install the pinned requirements; the others do it too'

setup: $(STAMP)

# An interrupted set-up is repaired by the same commands: venv completes a half-made environment,
# and a package whose record is missing was cut off while it was installed, so it is forgotten.
$(STAMP):
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 13))' || { \
		echo 'CPython 3.10 to 3.12 is needed, $(PYTHON) is $(VERSION): make setup PYTHON=python3.11'; \
		exit 1; }
	@echo '[1/4] environment in $(VENV)'
	@$(PYTHON) -m venv $(VENV)
	@find -L $(VENV)/lib -path '*/site-packages/*.dist-info' -prune ! -exec test -e {}/RECORD ';' \
		-print -exec rm -rf {} +
	@find -L $(VENV)/lib -path '*/site-packages/~*' -prune -exec rm -rf {} +
	@echo '[2/4] build tools'
	@$(PIP) --upgrade --requirement requirements/build.txt
	@$(PIP) --no-build-isolation --requirement requirements/chumpy.txt
	@echo '[3/4] torch, OpenMMLab and test tools (about 100 packages, a few minutes)'
	@$(PIP) --requirement requirements/runtime.txt --requirement requirements/mmagic.txt \
		--requirement requirements/mim.txt --requirement requirements/tests.txt
	@$(PIP) --no-deps --requirement requirements/openmim.txt
	@echo '[4/4] the package itself, and a check (openmim names opendatalab, not needed here)'
	@$(PIP) --no-deps --no-build-isolation --editable .
	@checked=$$($(PY) -m pip check || true); \
		! grep -v -e '^No broken requirements' -e '^openmim .*opendatalab' <<< "$$checked"
	@cd $(VENV) && bin/python -W ignore -c 'import star_pose'
	@rm -f $(VENV)/.ready-*
	@touch $@

demo: setup
	@PATH="$(abspath $(BIN)):$$PATH" OMP_WAIT_POLICY=passive $(PY) tools/demo.py --out $(DEMO_DIR)

test: setup
	@PATH="$(abspath $(BIN)):$$PATH" OMP_NUM_THREADS=1 \
		$(PY) -m pytest --numprocesses $(WORKERS) --dist loadfile $(TESTS)

lint: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

format: setup
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

clean:
	rm -rf build dist projects/star_pose.egg-info .pytest_cache .ruff_cache
