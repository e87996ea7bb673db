# Two targets for a newcomer (demo, test), the rest for those who stay. Everything is installed into the tree.
PYTHON ?= python3
BIN := .venv/bin
EVALKIT := $(BIN)/evalkit
DEMO := .evalkit/demo

.PHONY: setup demo test test-all test-slow test-report test-gateways test-postgres check fmt lint types schemas suites example bench \
	calibrate torture sbom clean

setup: .venv/ready

.venv/ready: requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit("evalkit needs Python 3.11 or newer, this is %d.%d: set PYTHON=python3.11" % v if v < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: setup
	@rm -rf $(DEMO)
	$(EVALKIT) init $(DEMO)
	@echo "$(EVALKIT) run --root $(DEMO)"
	@# Exit code 3: some models stay undecided, which is what the demo is there to show.
	@$(EVALKIT) run --root $(DEMO) --reports $(CURDIR)/reports --fail-on never || [ $$? -eq 3 ]
	$(EVALKIT) decide --root $(DEMO) --reports $(CURDIR)/reports -o reports/latest/eligibility.json
	$(EVALKIT) report --root $(DEMO) --reports $(CURDIR)/reports --format html --format markdown --format junit
	@echo "SIMULATED: nothing here says anything about a real model. Open reports/latest/index.html;"
	@echo "the router's file is reports/latest/eligibility.json"

test: setup
	$(BIN)/pytest -n auto -m "not slow and not browser and not gateways and not postgres"

test-slow: setup
	$(BIN)/pytest -n auto -m "slow and not gateways and not postgres"

test-report: setup
	tools/with-chromium tools/with-report-tools $(BIN)/pytest -m "browser and not gateways"

test-gateways: setup
	tools/with-gateways $(BIN)/pytest -m gateways tests/gateways

test-postgres: setup
	tools/with-postgres $(BIN)/pytest -m postgres tests/postgres

test-all: test test-slow test-report test-gateways test-postgres

check: setup lint types
	$(BIN)/lint-imports
	$(BIN)/pytest -q tests/architecture

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: setup
	$(BIN)/mypy

fmt: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

schemas: setup
	$(BIN)/python tools/write_schemas.py

suites: setup
	$(BIN)/python tools/make_suites.py

example: setup
	$(BIN)/python tools/make_example.py

bench: setup
	$(BIN)/python bench/run.py

# Simulations behind the claims about verdicts, seeded; writes docs/reference/calibration.md.
calibrate: setup
	$(BIN)/python tools/calibrate.py $(CALIBRATE)

# Two or three hours, seeded and bounded: fuzzing, chaos, crashes, load, canary keys; writes docs/reference/reliability.md.
torture: setup
	PYTHONPATH=tools $(BIN)/python -m torture all $(TORTURE)

sbom: setup
	$(BIN)/python tools/sbom.py dist/sbom.cdx.json

clean:
	rm -rf .venv .gateways .evalkit .mypy_cache .ruff_cache .hypothesis dist build
