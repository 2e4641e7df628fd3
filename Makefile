# Every target makes the virtual environment first when it is missing or older than what it is made from.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# torch spreads each small operation over every core, which slows tiny pipelines down and two at once even more.
export OMP_NUM_THREADS ?= 1
# Nothing here needs the hub; without this every tokenizer asks it first.
gate test: export HF_HUB_OFFLINE ?= 1
# More options for pytest, as in: make gate PYTEST_ARGS="-v --diffopt-report report"
PYTEST_ARGS ?=

.PHONY: install gate gpu test lint format benchmarks history generality clean

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test]'
	touch $@

# The regression suite, as far as it can be known without a GPU; a file's pipelines are built in one process.
gate: $(INSTALLED)
	$(BIN)/python -m pytest suites -n 2 --dist loadfile $(PYTEST_ARGS)

# The regression suite on this machine's GPU. torch comes from the runner's own index or image, so it is not pinned here.
gpu:
	test -x $(BIN)/python || $(PYTHON) -m venv --system-site-packages $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,gpu]'
	$(BIN)/python -m pytest suites --gpu $(PYTEST_ARGS)

# The plugin's own tests.
test: $(INSTALLED)
	$(BIN)/python -m pytest tests -n 2 $(PYTEST_ARGS)

lint: $(INSTALLED)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(INSTALLED)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# What we claim about ourselves, measured.
benchmarks: $(INSTALLED)
	$(BIN)/python benchmarks/start_up.py
	$(BIN)/python benchmarks/compile_watching.py
	$(BIN)/python benchmarks/timed_region.py
	$(BIN)/python benchmarks/stored_cases.py
	$(BIN)/python benchmarks/gate.py
	$(BIN)/python benchmarks/full_size.py
	$(BIN)/python benchmarks/simulated_gpu_speed.py
	$(BIN)/python -m benchmarks.simulated_vs_cuda

# Real regressions of diffusers, each on the releases before and after its mend; needs the network the first time.
# More options, as in: make history HISTORY_ARGS="--only flux-syncs --json history.json"
HISTORY_ARGS ?=
history: $(INSTALLED)
	$(BIN)/python -m benchmarks.history.replay $(HISTORY_ARGS)

# Every tiny pipeline of diffusers' own tests on the simulated GPU, beside the CPU, as in:
#   git clone --depth 1 --branch v0.42.1 https://github.com/huggingface/diffusers ../diffusers
#   make generality DIFFUSERS=../diffusers GENERALITY_ARGS="--only flux wan"
DIFFUSERS ?= ../diffusers
GENERALITY_ARGS ?=
generality: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check ftfy parameterized requests-mock
	$(BIN)/python -m benchmarks.generality --diffusers-tests $(DIFFUSERS) $(GENERALITY_ARGS)

clean:
	rm -rf $(VENV) .history .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
