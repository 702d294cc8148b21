PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run test test-slow lint wheel clean

run: $(VENV)/installed ## train ESMR on the small data set, print its table, write run.json
	$(BIN)/recbole-esmr run --model=ESMR --dataset=esmr-mini --output=run.json

test: $(VENV)/installed ## the tests, a few minutes on 2 cores
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist=loadfile -m "not slow"

test-slow: $(VENV)/installed ## the slow statistical tests
	$(BIN)/python -m pytest -m slow

lint: $(VENV)/linted ## the very checks that CI runs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

wheel: $(VENV)/linted ## wheel and source archive in dist/
	$(BIN)/python -m build

$(VENV)/installed: setup.cfg pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 11))' || \
	  { echo "recbole-esmr needs Python 3.10 or 3.11 (RecBole's ray has no later wheel): install python3.11, then: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo "Python's venv module is missing: on Debian or Ubuntu, apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt 'setuptools<81' wheel
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt --no-build-isolation -e '.[test]'
	$(BIN)/pip check
	@touch $@

$(VENV)/linted: $(VENV)/installed
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info log log_tensorboard saved
