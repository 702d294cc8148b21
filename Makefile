PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Past Python 3.11 RecBole's ray has no wheel: another set of versions, and RecBole without what it asks for.
NEW := $(shell $(PYTHON) -c 'import sys; print("-py312" * (sys.version_info >= (3, 12)))' 2>/dev/null)
CONSTRAINTS := constraints$(NEW).txt
OTHER = .venv-$(@:test-%=%)
PIP := $(BIN)/pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS)

.PHONY: run test test-search test-slow test-newest test-oldest lint docs wheel hashes sbom audit clean

run: $(VENV)/installed ## train ESMR on the small data set, print its table, write run.json
	$(BIN)/recbole-esmr run --model=ESMR --dataset=esmr-mini --output=run.json

test: $(VENV)/installed ## the tests, a few minutes on 2 cores
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist=loadfile -m "not slow"

test-search: $(VENV)/installed ## the tests with properties, on examples that no run has seen
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist=loadfile -m "not slow" --hypothesis-profile=search

test-slow: $(VENV)/installed ## the slow statistical tests
	$(BIN)/python -m pytest -m slow

test-newest test-oldest: ## the tests on the newest, or (Python 3.10) the oldest versions that setup.cfg allows, in a .venv of their own
	$(PYTHON) -m venv $(OTHER)
	$(OTHER)/bin/pip install --quiet --disable-pip-version-check uv
	$(OTHER)/bin/uv pip install --quiet --python $(OTHER)/bin/python \
	  --resolution $(if $(@:test-oldest=),highest,lowest-direct) -e '.[test]'
	$(if $(NEW),$(OTHER)/bin/pip install --quiet --disable-pip-version-check --no-deps recbole==1.2.1)
	OMP_NUM_THREADS=1 $(OTHER)/bin/python -m pytest -n 2 --dist=loadfile -m "not slow"

lint: $(VENV)/linted ## the very checks that CI runs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/documented ## the documentation as a site in build/site; no gap, no dead link
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

wheel: $(VENV)/linted ## wheel and source archive of the last commit in dist/, the same bytes at every build
	$(BIN)/python tools/build.py dist

hashes: $(VENV)/linted ## constraints-hashes.txt from constraints.txt, for pip install --no-deps --require-hashes
	$(BIN)/python tools/hashes.py constraints.txt constraints-hashes.txt 3.10 3.11

sbom: $(VENV)/supply ## sbom.json: what is installed, as CycloneDX
	$(BIN)/cyclonedx-py environment --output-reproducible --output-file sbom.json $(BIN)/python

audit: $(VENV)/supply ## known vulnerabilities of what is pinned; needs the network
	$(BIN)/pip-audit --requirement $(CONSTRAINTS) --no-deps --disable-pip

$(VENV)/installed: setup.cfg pyproject.toml $(CONSTRAINTS)
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "recbole-esmr needs Python 3.10 to 3.13: install python3.13, then: make PYTHON=python3.13 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo "Python's venv module is missing: on Debian or Ubuntu, apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) 'setuptools<81' wheel
	$(PIP) --no-build-isolation -e '.[test]'
	$(if $(NEW),$(PIP) --no-deps recbole)
	$(BIN)/python tools/pip_check.py
	@touch $@

$(VENV)/linted: $(VENV)/installed
	$(PIP) -e '.[dev]'
	@touch $@

$(VENV)/documented: $(VENV)/installed
	$(PIP) -e '.[docs]'
	@touch $@

$(VENV)/supply: $(VENV)/installed
	$(PIP) -e '.[supply]'
	@touch $@

clean:
	rm -rf $(VENV) build dist sbom.json *.egg-info log log_tensorboard saved
