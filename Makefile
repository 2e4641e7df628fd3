# Every target makes the virtual environment first when it is missing or older than what it is made from.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# torch spreads each small operation over every core, which slows tiny pipelines down and two at once even more.
export OMP_NUM_THREADS ?= 1
# Nothing here needs the hub; without this every tokenizer asks it first.
gate ladders test injected-faults on-gpu-rehearsal: export HF_HUB_OFFLINE ?= 1
# More options for pytest, as in: make gate PYTEST_ARGS="-v --diffopt-report report"
PYTEST_ARGS ?=
# Another torch than that of constraints.txt, in an environment of its own: make test TORCH=2.11.0
TORCH ?=
ifneq ($(TORCH),)
VENV := .venv-torch-$(TORCH)
endif
# How many inputs the readers of files get between them: make fuzz FUZZ_INPUTS=1000000
FUZZ_INPUTS ?= 100000
PIP := -m pip install --quiet --disable-pip-version-check

.PHONY: install gate ladders gpu test lint docs fuzz format benchmarks history generality injected-faults clean
.PHONY: on-gpu-rehearsal dist test-wheel release-check baselines comment merge summary status gpu-request propose-baselines

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	sed '$(if $(TORCH),s/^torch==.*/torch==$(TORCH)/)' constraints.txt > $(VENV)/constraints.txt
	$(BIN)/python $(PIP) --constraint $(VENV)/constraints.txt --editable '.[test,docs]'
	touch $@

# The regression suite, as far as it can be known without a GPU; a file's pipelines are built in one process.
gate: $(INSTALLED)
	$(BIN)/python -m pytest suites -n 2 --dist loadfile -m "not slow" $(PYTEST_ARGS)

# Every level of every pipeline's ladders, and what else compiles long (suites/conftest.py), without a GPU: some minutes.
ladders: $(INSTALLED)
	$(BIN)/python -m pytest suites -n 2 --dist loadscope -m slow $(PYTEST_ARGS)

# The regression suite on this machine's GPU. torch comes from the runner's own index or image, so it is not pinned here.
gpu:
	test -x $(BIN)/python || $(PYTHON) -m venv --system-site-packages $(VENV)
	$(BIN)/python $(PIP) --editable '.[test,gpu]'
	$(BIN)/python -m pytest suites --gpu $(PYTEST_ARGS)

# The same, and what it measures is accepted.
baselines:
	$(MAKE) gpu PYTEST_ARGS="--diffopt-update all $(PYTEST_ARGS)"

# The plugin's own tests.
test: $(INSTALLED)
	$(BIN)/python -m pytest tests -n 2 $(PYTEST_ARGS)

# Every reader of files, with arbitrary bytes and with valid files that somebody changed.
fuzz: $(INSTALLED)
	DIFFOPT_FUZZ_INPUTS=$(FUZZ_INPUTS) $(BIN)/python -m pytest tests/fuzz -n 2 $(PYTEST_ARGS)

lint: $(INSTALLED)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/actionlint
	$(BIN)/zizmor --offline --quiet .github action.yml

# The documentation's site, in site/; a link or anchor that leads nowhere is an error. (With --quiet nothing would be.)
docs: $(INSTALLED)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

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

# Real regressions of diffusers, each on the releases before and after its fix; needs the network the first time.
# More options, as in: make history HISTORY_ARGS="--only flux-syncs --json history.json"
HISTORY_ARGS ?=
history: $(INSTALLED)
	$(BIN)/python -m benchmarks.history.replay $(HISTORY_ARGS)

# Which guard sees each injected fault; with --false-alarms, whether any is red over right images. More options, as in:
# make injected-faults INJECTED_BUGS_ARGS="--only attention-scale-lost --markdown docs/injected-faults.md"
INJECTED_BUGS_ARGS ?=
injected-faults: $(INSTALLED)
	$(BIN)/python -m benchmarks.injected_faults $(INJECTED_BUGS_ARGS)

# What would be measured on a lent GPU (docs/on-gpu.md), rehearsed on the CPU with the tiny pipelines, in some minutes.
on-gpu-rehearsal: $(INSTALLED)
	rm -rf .on-gpu-rehearsal
	for command in ladder table overhead suites baselines paired false-alarms; do \
		$(BIN)/python -m benchmarks.on_gpu $$command --rehearse --json .on-gpu-rehearsal/$$command.json || exit 1; \
	done
	$(BIN)/python -m benchmarks.results_page --rehearsal --out .on-gpu-rehearsal/results.md \
		$(foreach one,ladder table overhead suites paired false-alarms,--$(one) .on-gpu-rehearsal/$(one).json)

# The wheel and the source of a release.
dist: $(INSTALLED)
	rm -rf dist
	$(BIN)/python -m build --outdir dist .

# The tests with the package as it is installed: none of its source lies beside them.
test-wheel: dist
	rm -rf .wheel
	mkdir -p .wheel/project
	$(PYTHON) -m venv .wheel/venv
	.wheel/venv/bin/python $(PIP) --constraint constraints.txt "$$(echo dist/*.whl)[test]"
	git ls-files -z | grep -zv ^pytest_diffopt/ | xargs -0 cp --parents --target-directory .wheel/project
	cd .wheel/project && HF_HUB_OFFLINE=1 ../venv/bin/python -m pytest tests/integration -n 2 $(PYTEST_ARGS)

# A release has the version of its tag, and says in the changelog what is new.
release-check: $(INSTALLED)
	$(BIN)/python -m tools.release_check "$$TAG"

# What our own workflows do, apart from the targets above: they ask gh, and need no environment.
# A summary on a pull request: make comment SUMMARY=report/summary.md PULL_REQUEST=12 KEY=h200 LINK=https://...
comment:
	$(PYTHON) -m pytest_diffopt comment "$$SUMMARY" --repository "$$GITHUB_REPOSITORY" \
		--pull-request "$$PULL_REQUEST" --key "$$KEY" --link "$$LINK"

# One report of those of several jobs: make merge REPORTS="reports/*" INTO=report EXPECT=4
merge: $(INSTALLED)
	$(BIN)/python -m pytest_diffopt merge $(REPORTS) --into "$(INTO)" --expect "$(EXPECT)"

# The summary of a report on the page of GitHub's run: make summary REPORT=report PAGE=https://...
summary: $(INSTALLED)
	$(BIN)/python -m pytest_diffopt summary "$$REPORT" --page "$$PAGE" >> "$${GITHUB_STEP_SUMMARY:-/dev/stdout}"

# The status of the commit of a pull request: make status COMMIT=1a2b3c4 STATE=success LINK=https://...
status:
	gh api --silent --method POST "repos/$$GITHUB_REPOSITORY/statuses/$$COMMIT" \
		-f context=gpu -f state="$$STATE" -f target_url="$$LINK"

# Which commit is run on our runners, and on which of them.
gpu-request:
	$(PYTHON) -m tools.github.request

# A pull request with the baselines that the runners measured, made in another checkout than this.
propose-baselines:
	cd "$$CHECKOUT" && PYTHONPATH="$(CURDIR)" $(PYTHON) -m tools.github.propose "$$ARTIFACTS" \
		--base "$$([ "$$IS_FORK" = true ] || echo "$$BASE")" --branch "$$BRANCH" --link "$$LINK" --reason "$$REASON"

# Every tiny pipeline of diffusers' own tests on the simulated GPU, beside the CPU, as in:
#   git clone --depth 1 --branch v0.42.1 https://github.com/huggingface/diffusers ../diffusers
#   make generality DIFFUSERS=../diffusers GENERALITY_ARGS="--only flux wan"
DIFFUSERS ?= ../diffusers
GENERALITY_ARGS ?=
generality: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check ftfy parameterized requests-mock
	$(BIN)/python -m benchmarks.generality --diffusers-tests $(DIFFUSERS) $(GENERALITY_ARGS)

clean:
	rm -rf $(VENV) .venv-torch-* .wheel dist site .history .on-gpu-rehearsal .mypy_cache \
		.ruff_cache .pytest_cache .import_linter_cache
