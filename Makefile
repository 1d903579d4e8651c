# Two commands need nothing but python3.11+, make and the package registries: `make demo`, `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PEERS := .venv-peers
INSIGHTFACE := .venv-insightface
CHECKOV := .venv-checkov
# Labelled photographs and a footage maker, if there are any: see bench/scan.py.
SHARED ?= $(wildcard ../shared)
# A file by one process. Three on two cores: many tests wait.
SPREAD := -n 3 --dist loadfile
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: help demo test coverage test-insightface images-check manifests fuzz lint fmt protos bench prove-unretained \
	lock clean

help:  ## Show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.server  ## Find one of six people in street footage made on the spot
	$(BIN)/homeward demo

test: $(VENV)/.dev $(CHECKOV)/.done lint  ## Everything that CI runs
	$(BIN)/python -m pytest $(SPREAD) $(PYTEST_ARGS)

test-insightface: $(INSIGHTFACE)/.done  ## InsightFace's own classes, on a pack and photographs in SHARED
	@test -n "$(SHARED)" || { echo "make test-insightface: SHARED=FOLDER is not set" >&2; exit 1; }
	HOMEWARD_TEST_SHARED=$(SHARED) $(INSIGHTFACE)/bin/python -m pytest tests/insightface

images-check: $(VENV)/.dev  ## What each image has and how it starts, without a container engine; needs bubblewrap
	HOMEWARD_TEST_IMAGES=.images $(BIN)/python -m pytest --timeout 900 tests/images  # the first test installs all

manifests: $(VENV)/.dev $(CHECKOV)/.done  ## Check every overlay, and show which check catches which fault
	PYTHONPATH=tests $(BIN)/python -m deploy

fuzz: $(VENV)/.dev  ## Try damaged and hostile recordings and photographs; FUZZ_ARGS="--seed 7 --keep FOLDER WORD"
	PYTHONPATH=tests $(BIN)/python -m fuzz $(FUZZ_ARGS)

coverage: $(VENV)/.dev  ## Which lines the tests run; a page in .coverage-report, PYTEST_ARGS as of test
	$(BIN)/python -m pytest $(SPREAD) --cov --cov-report=term:skip-covered \
		--cov-report=html:.coverage-report $(PYTEST_ARGS)

lint: $(VENV)/.dev  ## Format, style, types and import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

fmt: $(VENV)/.dev  ## Format code and protos
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix-only .
	$(BIN)/buf format -w

protos: $(VENV)/.dev  ## Generate services/homeward/api from protos/
	$(BIN)/python tools/generate_protos.py services

bench: $(VENV)/.dev $(PEERS)/.done  ## Measure the scan beside what users would do instead
	$(BIN)/python bench/scan.py $(if $(SHARED),--shared $(SHARED)) $(BENCH_ARGS)

prove-unretained: $(VENV)/.server  ## Look for strangers in every byte that a scan has left
	$(BIN)/python tools/unretained.py

lock:  ## Write requirements/*.txt again; needs uv
	tools/lock.sh

clean:  ## Remove what the others have made here
	rm -rf $(VENV) $(PEERS) $(INSIGHTFACE) $(CHECKOV) .coverage .coverage-report .demo .images

# Hashes are checked for every package; homeward itself is installed from this checkout.
$(VENV)/.server: requirements/server.txt requirements/demo.txt pyproject.toml
	@echo "Installing Homeward into $(VENV) (the first time this downloads about 400 MB) ..."
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --require-hashes -r requirements/server.txt
	$(PIP) install --require-hashes --no-deps -r requirements/demo.txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.server requirements/dev.txt
	$(PIP) install --require-hashes -r requirements/dev.txt
	@touch $@

$(PEERS)/.done: requirements/peers.txt
	@echo "Installing what the bench compares with into $(PEERS) (about 600 MB) ..."
	test -x $(PEERS)/bin/python || $(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes \
		-r requirements/peers.txt
	@touch $@

$(CHECKOV)/.done: requirements/checkov.txt
	@echo "Installing Checkov into $(CHECKOV) (about 290 MB) ..."
	test -x $(CHECKOV)/bin/python || $(PYTHON) -m venv $(CHECKOV)
	$(CHECKOV)/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes \
		-r requirements/checkov.txt
	@touch $@

# --no-deps: insightface asks for another build of OpenCV, which would overwrite ours.
$(INSIGHTFACE)/.done: requirements/dev.txt requirements/insightface.txt pyproject.toml
	@echo "Installing the insightface package beside all else into $(INSIGHTFACE) (about 700 MB) ..."
	test -x $(INSIGHTFACE)/bin/python || $(PYTHON) -m venv $(INSIGHTFACE)
	$(INSIGHTFACE)/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes \
		--no-deps -r requirements/dev.txt -r requirements/insightface.txt
	$(INSIGHTFACE)/bin/python -m pip --disable-pip-version-check --quiet install --no-deps \
		--no-build-isolation --editable .
	@touch $@
