# Most targets first create the virtual environment, if it is missing or older than its sources.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# By default torch uses every core for each operation, which slows down tiny pipelines, above all in parallel.
export OMP_NUM_THREADS ?= 1
# Bytecode is compiled once, and not in each of the processes that tests start.
unexport PYTHONDONTWRITEBYTECODE
# These targets need no hub; without this each tokenizer sends a request first.
gate ladders test null-gpu truth injected-faults on-gpu-rehearsal: export HF_HUB_OFFLINE ?= 1
# More options for pytest, as in: make gate PYTEST_ARGS="-v --diffopt-report report"
PYTEST_ARGS ?=
# Another torch than in constraints.txt, in a separate environment: make test TORCH=2.11.0
TORCH ?=
ifneq ($(TORCH),)
VENV := .venv-torch-$(TORCH)
endif
# Total number of inputs of the fuzz tests: make fuzz FUZZ_INPUTS=1000000
FUZZ_INPUTS ?= 100000
PIP := -m pip install --quiet --disable-pip-version-check

.PHONY: install null-gpu truth gate ladders gpu test test-lpips browser lint docs fuzz format figures history generality
.PHONY: generality-syncs atlas
.PHONY: injected-faults on-gpu-rehearsal dist test-wheel release-check baselines comment comment-environment merge summary
.PHONY: status gpu-request propose-baselines clean

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	sed '$(if $(TORCH),s/^torch==.*/torch==$(TORCH)/)' constraints.txt > $(VENV)/constraints.txt
	$(BIN)/python $(PIP) --constraint $(VENV)/constraints.txt --editable '.[test,docs]'
	touch $@

# The part of the regression suite that needs no GPU; the pipelines of a file are built in one process.
gate: $(INSTALLED)
	$(BIN)/python -m pytest suites -n 2 --dist loadfile -m "not slow" $(PYTEST_ARGS)

# All levels of all ladders, and other slow compilations (suites/conftest.py), without a GPU; takes minutes.
ladders: $(INSTALLED)
	$(BIN)/python -m pytest suites -n 2 --dist loadscope -m slow $(PYTEST_ARGS)

# The regression suite on this machine's GPU. torch is not pinned: the runner's index or image provides it.
gpu:
	test -x $(BIN)/python || $(PYTHON) -m venv --system-site-packages $(VENV)
	$(BIN)/python $(PIP) --editable '.[test,gpu]'
	$(BIN)/python -m pytest suites --gpu $(PYTEST_ARGS)

# Run the regression suite on the GPU, and accept its figures as baselines.
baselines:
	$(MAKE) gpu PYTEST_ARGS="--diffopt-update all $(PYTEST_ARGS)"

# The tests of the plugin.
test: $(INSTALLED)
	$(BIN)/python -m pytest tests -n 2 --dist worksteal $(PYTEST_ARGS)

# A browser for the tests that open pages: Debian's Chromium, unless one is installed.
browser:
	$(PYTHON) -m tools.install_browser

# The tests of LPIPS with its packages, in an environment of their own: torchvision requires exactly one build of torch.
LPIPS_VENV := .venv-lpips
test-lpips: $(LPIPS_VENV)/.installed
	DIFFOPT_TESTS_REQUIRE=lpips $(LPIPS_VENV)/bin/python -m pytest tests/unit/probes/test_lpips.py $(PYTEST_ARGS)

$(LPIPS_VENV)/.installed: pyproject.toml constraints.txt
	test -x $(LPIPS_VENV)/bin/python || $(PYTHON) -m venv $(LPIPS_VENV)
	$(LPIPS_VENV)/bin/python $(PIP) --constraint constraints.txt --editable '.[test,lpips]'
	touch $@

# Fuzz every reader of files, with arbitrary bytes and with mutated valid files.
fuzz: $(INSTALLED)
	DIFFOPT_FUZZ_INPUTS=$(FUZZ_INPUTS) $(BIN)/python -m pytest tests/fuzz -n 2 $(PYTEST_ARGS)

# The null GPU's own tests and the tiny suites on it, in an environment with the CUDA build of torch; no GPU and no driver
# are needed. Every family: its eager recipes through every guard, memory at all batch sizes against
# baselines/null-nvidia-h200/. Compiled code is tested with one family, alone, since host time is measured; its baselines
# are made again, since it depends on the machine, and a time that cannot be decided on a busy one is skipped, also in CI.
# Left out: counts and full size, which are the simulated GPU's, and the ladders, whose eager levels are recipes of
# test_sdxl.py.
CUDA_VENV ?= .venv-cuda
CUDA_BIN := $(CUDA_VENV)/bin
ON_NULL_GPU := $(CUDA_BIN)/python -m pytest --diffopt-null-gpu -q
null-gpu: $(CUDA_VENV)/.installed
	$(CUDA_BIN)/python -m pytest tests/unit/null_gpu tests/integration/null_gpu -q -n 2 --dist worksteal $(PYTEST_ARGS)
	$(ON_NULL_GPU) suites -n 2 --dist loadfile -m "not slow" \
		-k "not compile and not latency and not full and not counts and not ladders" $(PYTEST_ARGS)
	rm -rf .null-gpu
	$(ON_NULL_GPU) suites/test_sd15.py -k "compile and not batch4 and not batch16 and not counts" \
		--diffopt-baselines=.null-gpu/baselines --diffopt-update=missing --diffopt-allow-ci-update \
		-o diffopt_inconclusive=skip $(PYTEST_ARGS)

$(CUDA_VENV)/.installed: pyproject.toml constraints-cuda.txt
	test -x $(CUDA_BIN)/python || $(PYTHON) -m venv $(CUDA_VENV)
	$(CUDA_BIN)/python $(PIP) --constraint constraints-cuda.txt torch
	$(CUDA_BIN)/python $(PIP) --constraint constraints-cuda.txt --editable '.[gpu,quantization]' hypothesis peft pytest-xdist torchsde
	touch $@

# Compare the simulated GPU with torch's own CUDA code on the null GPU, case by case; fails if a disagreement is not a
# stated limit. The readings are kept in .truth/, so an interrupted run continues; after a change of the sources
# they are refused: remove .truth/. More options, as in:
# make truth TRUTH_ARGS="--docs --rows" (writes the table into docs/simulated-gpu.md, and records which rows of the sync
# table agreed), or TRUTH_ARGS='--only scheduler: row:'
TRUTH_ARGS ?=
TRUTH_GPUS ?= b200 a100-80gb l4 t4 v100 rtx-5090
truth: $(CUDA_VENV)/.installed
	$(CUDA_VENV)/bin/python -m benchmarks.simulated_vs_cuda --real null --json .truth/h200.json $(TRUTH_ARGS)
	for gpu in $(TRUTH_GPUS); do \
		$(CUDA_VENV)/bin/python -m benchmarks.simulated_vs_cuda --real null --gpu $$gpu --json .truth/$$gpu.json \
			--only attention: || exit 1; \
	done

lint: $(INSTALLED)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/actionlint
	$(BIN)/zizmor --offline --quiet .github action.yml benchmarks/atlas/action.yml

# Build the documentation into site/; a dead link or anchor is an error. (With --quiet it would not be.)
docs: $(INSTALLED)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

format: $(INSTALLED)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# Measure the costs that the documentation claims, and write them into docs/figures.md; takes a quarter of an hour on a
# quiet machine. A part of them: make figures FIGURES_ARGS="--only start-up gate"
FIGURES_ARGS ?=
figures: $(INSTALLED)
	$(BIN)/python -m benchmarks.figures $(FIGURES_ARGS)

# Replay real regressions of diffusers on the releases before and after each fix; the first run needs the network.
# More options, as in: make history HISTORY_ARGS="--only flux-syncs --json history.json"
HISTORY_ARGS ?=
history: $(INSTALLED)
	$(BIN)/python -m benchmarks.history.replay $(HISTORY_ARGS)

# Which guard detects each injected fault; with --false-alarms, whether any guard fails correct images. More options:
# make injected-faults INJECTED_FAULTS_ARGS="--only attention-scale-lost --markdown docs/injected-faults.md"
INJECTED_FAULTS_ARGS ?=
injected-faults: $(INSTALLED)
	$(BIN)/python -m benchmarks.injected_faults $(INJECTED_FAULTS_ARGS)

# Rehearse the measurements on a GPU (docs/on-gpu.md) with the tiny pipelines; takes minutes on the CPU. On the null GPU
# torch's own CUDA code runs and Inductor compiles, which takes longer: make on-gpu-rehearsal REHEARSED_ON=null-gpu
REHEARSED_ON ?= cpu
ON_GPU := $(BIN)/python -m benchmarks.on_gpu
ifeq ($(REHEARSED_ON),null-gpu)
ON_GPU := $(CUDA_BIN)/python -m pytest_diffopt null-gpu --values all -- $(CUDA_BIN)/python -m benchmarks.on_gpu
on-gpu-rehearsal: $(CUDA_VENV)/.installed
else ifneq ($(REHEARSED_ON),cpu)
$(error REHEARSED_ON must be cpu or null-gpu, got: $(REHEARSED_ON))
endif
on-gpu-rehearsal: $(INSTALLED)
	rm -rf .on-gpu-rehearsal
	for command in ladder table overhead suites baselines paired false-alarms; do \
		$(ON_GPU) $$command --rehearse --budget-seconds 3600 --json .on-gpu-rehearsal/$$command.json || exit 1; \
	done
	$(BIN)/python -m benchmarks.results_page --rehearsal --out .on-gpu-rehearsal/results.md \
		$(foreach one,ladder table overhead suites paired false-alarms,--$(one) .on-gpu-rehearsal/$(one).json)

# The wheel and the source distribution of a release.
dist: $(INSTALLED)
	rm -rf dist
	PIP_CONSTRAINT="$(CURDIR)/constraints.txt" $(BIN)/python -m build --outdir dist .

# Run the tests against the installed wheel, without the package's source in the working folder.
test-wheel: dist
	rm -rf .wheel
	mkdir -p .wheel/project
	$(PYTHON) -m venv .wheel/venv
	.wheel/venv/bin/python $(PIP) --constraint constraints.txt "$$(echo dist/*.whl)[test]"
	git ls-files -z | grep -zv ^pytest_diffopt/ | xargs -0 cp --parents --target-directory .wheel/project
	cd .wheel/project && HF_HUB_OFFLINE=1 ../venv/bin/python -m pytest tests/integration -n 2 $(PYTEST_ARGS)

# Check that a release has the version of its tag, and a section in the changelog.
release-check: $(INSTALLED)
	$(BIN)/python -m tools.release_check "$$TAG"

# Targets of the workflows. Their values are environment variables: make expands $(...) in a value on its command line.
# What reads a report, and nothing else: a job with a write token installs it in a step before, without the token.
COMMENT_VENV := .venv-comment
comment-environment: $(COMMENT_VENV)/.installed

$(COMMENT_VENV)/.installed: constraints.txt
	$(PYTHON) -m venv $(COMMENT_VENV)
	$(COMMENT_VENV)/bin/python $(PIP) --constraint constraints.txt --only-binary :all: msgspec pytest
	touch $@

# Post the summary of a report on a pull request: REPORT=report PULL_REQUEST=12 KEY=h200 LINK=https://... make comment
comment: $(COMMENT_VENV)/.installed
	$(COMMENT_VENV)/bin/python -m pytest_diffopt comment "$$REPORT" --repository="$$GITHUB_REPOSITORY" \
		--pull-request="$$PULL_REQUEST" --key="$$KEY" --link="$$LINK"

# Merge the reports of several jobs: EXPECT=4 make merge REPORTS="reports/*" INTO=report
merge: $(INSTALLED)
	$(BIN)/python -m pytest_diffopt merge $(REPORTS) --into "$(INTO)" --expect="$$EXPECT"

# Append the summary of a report to the page of the GitHub Actions run: REPORT=report PAGE=https://... make summary
summary: $(INSTALLED)
	$(BIN)/python -m pytest_diffopt summary "$$REPORT" --page="$$PAGE" >> "$${GITHUB_STEP_SUMMARY:-/dev/stdout}"

# Set the status of a commit of a pull request: COMMIT=... STATE=success LINK=https://... make status
status:
	gh api --silent --method POST "repos/$$GITHUB_REPOSITORY/statuses/$$COMMIT" \
		-f context=gpu -f state="$$STATE" -f target_url="$$LINK"

# Decide which commit runs on the self-hosted runners, and on which GPUs.
gpu-request:
	$(PYTHON) -m tools.github.request

# Open a pull request with the measured baselines, on the commit of the checkout in CHECKOUT. The code is this
# checkout's own: Python would prefer modules in the folder in which it is started.
propose-baselines:
	$(PYTHON) -m tools.github.propose "$$ARTIFACTS" --checkout="$$CHECKOUT" \
		--base="$$([ "$$IS_FORK" = true ] || echo "$$BASE")" --branch="$$BRANCH" --link="$$LINK" --reason="$$REASON"

# Compare every tiny pipeline of diffusers' tests on the simulated GPU with the CPU:
#   git clone --depth 1 --branch v0.42.1 https://github.com/huggingface/diffusers ../diffusers
#   make generality DIFFUSERS=../diffusers GENERALITY_ARGS="--only flux wan"
DIFFUSERS ?= ../diffusers
DIFFUSERS_TESTS_NEED := ftfy opencv-python-headless parameterized requests-mock sentencepiece
GENERALITY_ARGS ?=
generality: $(INSTALLED)
	$(BIN)/python $(PIP) $(DIFFUSERS_TESTS_NEED)
	$(BIN)/python -m benchmarks.generality --diffusers-tests $(DIFFUSERS) $(GENERALITY_ARGS)

# The syncs of the same pipelines on the simulated GPU and under torch's own CUDA code on the null GPU, line by line:
#   make generality-syncs DIFFUSERS=../diffusers
generality-syncs: $(CUDA_VENV)/.installed
	$(CUDA_BIN)/python $(PIP) --constraint constraints-cuda.txt $(DIFFUSERS_TESTS_NEED)
	$(CUDA_BIN)/python -m benchmarks.generality.syncs --diffusers-tests $(DIFFUSERS) $(GENERALITY_ARGS)

# Syncs, graph breaks, recompiles and memory of every tiny pipeline of diffusers' tests, and the pages that show them:
#   make atlas DIFFUSERS=../diffusers ATLAS_ARGS="--only flux wan"
ATLAS_ARGS ?=
ATLAS_OUT ?= docs/atlas
atlas: $(INSTALLED)
	$(BIN)/python $(PIP) $(DIFFUSERS_TESTS_NEED)
	$(BIN)/python -m benchmarks.atlas --diffusers $(DIFFUSERS) --lines .atlas/atlas.jsonl --json .atlas/atlas.json $(ATLAS_ARGS)
	$(BIN)/python -m benchmarks.atlas.pages .atlas/atlas.json --out $(ATLAS_OUT) --readme README.md

clean:
	rm -rf $(VENV) .venv-torch-* $(CUDA_VENV) $(COMMENT_VENV) .wheel dist site .history .null-gpu .truth .generality .atlas .on-gpu-rehearsal \
		.mypy_cache \
		.ruff_cache .pytest_cache .import_linter_cache
