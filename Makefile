# The verbs of this project; people and .ci/run call the same ones. Each makes the environment it needs.

PYTHON ?=
FOLDER ?= tests/data
FUZZ_SECONDS ?= 240
FUZZ_TARGET ?= mp4
BIN := .venv/bin
STAMP := .venv/.installed
HUB1 := .venv/huggingface_hub-1
STOPS := tests/pipelines/publish/hub/test_stops.py tests/pipelines/publish/store/test_stops.py
# Processes that run tests: one more than two cores, since some tests wait.
WORKERS := 3
# The notebooks, and tests of what the tests are made with: servers, generators of files, the oracle, the fuzzer.
TOOLS := tests/notebooks tests/servers tests/features/test_features.py tests/oracle tests/fuzz/test_fuzzer.py

.DEFAULT_GOAL := help
.PHONY: help env browser demo test test-all test-stops test-repairs test-hub1 lint typecheck oracle fuzz bench bench-remote bench-train bench-scale peer-lerobot format clean

help: ## list these verbs
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

env: $(STAMP)

$(STAMP): pyproject.toml .ci/constraints.txt
	@PYTHON="$(PYTHON)" .ci/make-env .venv
	@.ci/install-ffmpeg $(BIN)/python
	@touch $@

browser: ## install Chromium, which the tests of the report page drive
	@.ci/install-browser

demo: env ## prepare a sample dataset, verify it, read one clip back
	@$(BIN)/python -m tests.demo

test: env ## run the tests: every pair of what is varied, and all kinds of input once; not the 250 longest
	@EPISEEK_LEAVE_OUT_LONG_TESTS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n $(WORKERS) $(addprefix --ignore=,$(STOPS) $(TOOLS))

test-all: env ## run all of every test, as CI does: full products, the tests of the test servers, stops at every request
	@EPISEEK_TEST_ALL=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n $(WORKERS)

test-stops: env ## the part of test-all that stops publications at every request in turn
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n $(WORKERS) $(STOPS)

test-repairs: env ## all defects on all sample datasets, alone and in pairs, and files cut anywhere (two hours)
	@EPISEEK_TEST_REPAIRS=1 EPISEEK_TEST_ALL=1 $(BIN)/python -m pytest -q -n $(WORKERS) tests/pipelines/parquet/recovery tests/pipelines/verify/test_repair_remedies.py
	@$(BIN)/python -m tests.repairs
	@$(BIN)/python -m tests.repairs --pairs

test-hub1: env ## the tests of the Hub with huggingface_hub 1.x, which LeRobot pins
	@test -d $(HUB1) || $(BIN)/python -m pip install -qq --no-compile --disable-pip-version-check --target $(HUB1) 'huggingface_hub>=1,<2'
	@PYTHONDONTWRITEBYTECODE= PYTHONPATH=$(HUB1) EPISEEK_TEST_HUB_RELEASE=1. $(BIN)/python -m pytest -n $(WORKERS) tests/runtime/stores/transports/test_hub.py tests/servers/test_hub.py tests/servers/test_hub_buckets.py tests/pipelines/publish/hub_client tests/pipelines/publish/hub tests/pipelines/publish/test_prepared.py tests/pipelines/publish/store/test_stops.py::test_a_bucket_stops_at_any_request_to_the_hub

lint: env ## style, formatting and layers
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/lint-imports --no-logo

typecheck: env ## mypy, strict
	@$(BIN)/mypy

oracle: env ## compare clips of the files in FOLDER=... with decoding them whole
	@$(BIN)/python -m tests.oracle $(FOLDER)

fuzz: env ## damage small files for FUZZ_SECONDS (FUZZ_TARGET=mp4|parquet) and check every promise
	@$(BIN)/python -c 'import atheris' 2>/dev/null || $(BIN)/python -m pip install -qq --disable-pip-version-check -c .ci/constraints.txt -e '.[fuzz]' || echo "no Atheris here: the random engine is used" >&2
	@$(BIN)/python -m tests.fuzz --target $(FUZZ_TARGET) --seconds $(FUZZ_SECONDS) --jobs 2

bench: env ## print the benchmark ratios
	@$(BIN)/python -m tests.bench

bench-remote: env ## frames from a server with latency, by every way there is (ARGS=--quick: one condition)
	@$(BIN)/python -m tests.bench.remote $(ARGS)

bench-train: env ## a training loop's reading, by every way there is (PEER=/path/to/python with LeRobot, ARGS=--quick)
	@$(BIN)/python -m tests.bench.train $(if $(PEER),--peer $(PEER)) $(ARGS)

bench-scale: env ## prepare of up to 100,000 episodes: CPU, memory, workers, indexing over HTTP (ARGS=--quick, ARGS="--episodes 1000")
	@$(BIN)/python -m tests.bench.scale $(ARGS)

peer-lerobot: env ## compare items of the sample datasets with the real LeRobotDataset (PEER=/path/to/python with LeRobot)
	@$(BIN)/python -m tests.peer $(PEER)

format: env ## sort imports and format the sources
	@$(BIN)/ruff check --select I --fix
	@$(BIN)/ruff format

clean: ## remove the environment, caches and outputs
	@rm -rf .venv build dist demo-output bench-output .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find schemas src pipelines tests -name __pycache__ -type d -prune -exec rm -rf {} +
