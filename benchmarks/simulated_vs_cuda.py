"""Run the same cases on the simulated GPU and on CUDA, and print where the two agree.

    python -m benchmarks.simulated_vs_cuda --real null --json agreement.json
    python -m benchmarks.simulated_vs_cuda --real gpu --json agreement.json --budget-seconds 540

The cases are 15 schedulers, the calls of the sync table's test, 700 random attention calls, and each built-in
pipeline, tiny and at full size. Each side runs in a process of its own. On the null GPU torch's own CUDA code runs; its
counters count kernels, library calls and all syncs by line. On a GPU the profiler counts launches and all syncs. On
both, torch's sync debug mode counts the syncs of each line, `FlopCounterMode` counts FLOPs, and the caching allocator
reports memory.

The JSON file is extended after each case, so the same command continues an interrupted run; a file of another GPU,
torch version or state of this project's sources is refused. `--docs` writes the table into the documentation, `--rows`
records which rows of the sync table agreed under this version of torch
(pytest_diffopt/simulated_gpu/cuda/sync_confirmations.json).

The exit code is 0 if the devices agree in every case but for the stated limits (benchmarks/agreement_limits.py), 1 if a
case failed or differs, 2 if the file cannot be continued, and 3 if the budget ended first.
"""

import argparse
import hashlib
import math
import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from packaging.version import Version

import pytest_diffopt
from benchmarks.agreement import Agreement, Reading, Verdict, judge, report
from benchmarks.agreement_cases import Case, all_cases
from benchmarks.agreement_limits import limits_for
from benchmarks.agreement_page import DOCS_PAGE, write_section
from benchmarks.agreement_processes import Request, read_sides
from benchmarks.agreement_rows import compared_rows
from benchmarks.agreement_sides import Side
from benchmarks.on_gpu.results import Results, ResultsError
from benchmarks.on_gpu.running import Budget, positive_seconds
from pytest_diffopt.errors import DiffoptError
from pytest_diffopt.null_gpu.gpus import DEFAULT_GPU, find_gpu
from pytest_diffopt.null_gpu.launching import environment as null_gpu_environment
from pytest_diffopt.simulated_gpu import gpu_model_by_cuda_name, known_gpu_models
from pytest_diffopt.simulated_gpu.cuda.sync_confirmations import record

_DISAGREED, _CANNOT_RUN, _CASES_LEFT = 1, 2, 3
# Several times the duration of a case once CUDA and the profiler are loaded.
_LEAST_SECONDS = 20.0
_PACKAGE = Path(pytest_diffopt.__file__).parent
_WRITTEN_BY_ROWS = "sync_confirmations.json"
_SOURCES = {".c", ".h", ".json", ".py", ".safetensors"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare the remaining cases and print the report; return the exit code."""
    options = _parsed(arguments)
    budget = Budget(
        seconds=options.budget_seconds, clock=time.monotonic, start=time.monotonic(), least_seconds=_LEAST_SECONDS
    )
    try:
        gpu_name = _gpu_name(options)
        cases = [case for case in all_cases() if _is_selected(case.name, options.only)]
        results = Results(
            options.json,
            command="simulated_vs_cuda",
            environment=_environment(options.real, gpu_name),
            is_rehearsal=False,
        )
        if options.retry_failed:
            results.forget_failures()
        with suppress(KeyboardInterrupt):  # what was read is kept
            read_missing(cases, results, _requests(options, gpu_name), budget=budget)
    except DiffoptError as error:
        print(f"simulated_vs_cuda: {error}", file=sys.stderr)
        return _CANNOT_RUN
    verdict = verdict_on(cases, results)
    for line in report(verdict):
        print(line)
    left = [case.name for case in cases if not _is_complete(results.cases.get(case.name, {}))]
    if left:
        print(f"left: {', '.join(left)}\ncontinue with: {_again(options)}")
        return _CASES_LEFT
    if options.docs:
        write_section(DOCS_PAGE, verdict, results.environment)
    if options.rows:
        _record_rows(cases, verdict)
    return 0 if verdict.is_true else _DISAGREED


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.simulated_vs_cuda",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--real", choices=("null", "gpu"), default="null", help="CUDA's side (default: %(default)s)")
    parser.add_argument("--gpu", default=DEFAULT_GPU, metavar="NAME", help="the null GPU (default: %(default)s)")
    file_help = "file of the readings; existing readings are kept (default: agreement.json)"
    parser.add_argument("--json", type=Path, default=Path("agreement.json"), metavar="FILE", help=file_help)
    parser.add_argument("--only", nargs="+", default=(), metavar="TEXT", help="only cases whose name contains a text")
    parser.add_argument(
        "--budget-seconds", type=positive_seconds, default=math.inf, metavar="S", help="default: unlimited"
    )
    parser.add_argument("--retry-failed", action="store_true", help="repeat the cases that failed")
    parser.add_argument("--docs", action="store_true", help="write the table into docs/simulated-gpu.md")
    parser.add_argument("--rows", action="store_true", help="record which rows of the sync table agreed")
    options = parser.parse_args(arguments)
    if options.docs and options.only:
        parser.error("--docs writes the table of all cases; leave out --only")
    return options


def _gpu_name(options: argparse.Namespace) -> str:
    """Return the name that CUDA reports for the GPU.

    Raises:
        ResultsError: a GPU was asked for, and there is none.
    """
    if options.real == "null":
        return find_gpu(options.gpu).name
    if not torch.cuda.is_available():
        msg = "nothing was compared: --real gpu needs a CUDA device; --real null needs none"
        raise ResultsError(msg)
    return torch.cuda.get_device_name()


def _is_selected(name: str, texts: Sequence[str]) -> bool:
    return not texts or any(text in name for text in texts)


def _environment(real: str, gpu_name: str) -> dict[str, Any]:
    return {
        "device": f"null {gpu_name}" if real == "null" else gpu_name,
        "sources": _state_of_sources(),
        "versions": {
            "torch": str(torch.__version__), "cuda": str(torch.version.cuda), "diffusers": version("diffusers")
        },
    }  # fmt: skip


def _state_of_sources() -> str:
    """Return a hash of all that determines a reading, so that no reading outlives a change."""
    package = (path for path in _PACKAGE.rglob("*") if path.suffix in _SOURCES and path.name != _WRITTEN_BY_ROWS)
    paths = sorted((*package, *Path(__file__).parent.glob("agreement*.py")))
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()[:12]


def _requests(options: argparse.Namespace, gpu_name: str) -> Mapping[str, Mapping[str, str]]:
    """Return the environment variables of each side's process; the simulated side sees no GPU."""
    model = gpu_model_by_cuda_name(gpu_name)
    if model is None:
        msg = f"the simulated GPU does not know {gpu_name!r}; it knows {', '.join(known_gpu_models())}"
        raise ResultsError(msg)
    base = dict(os.environ) | {"DIFFOPT_SIMULATED_MODEL": model.name}
    real = null_gpu_environment(options.gpu, base=base) if options.real == "null" else base
    return {Side.SIMULATED.value: base | {"CUDA_VISIBLE_DEVICES": ""}, options.real: real}


def read_missing(
    cases: Sequence[Case], results: Results, sides: Mapping[str, Mapping[str, str]], *, budget: Budget
) -> None:
    """Read what is missing of each side, and keep it as it comes.

    Args:
        cases: every case.
        results: the readings so far, by case and side: `simulated` and `real`.
        sides: the environment variables of each side's process; the first is the simulated one.
        budget: when it is spent, the processes are ended.
    """

    def keep(side: str, case: str, answer: Mapping[str, Any]) -> None:
        key = _key(side)
        reading = answer.get("reading")
        update = {key: reading} if reading is not None else {"failed": f"{key}: {answer['failed']}"}
        results.keep(case, {**results.cases.get(case, {}), **update})
        _progress(f"{side}: {case}")

    requests = [
        Request(
            side=side,
            cases=[case.name for case in cases if _is_missing(results.cases.get(case.name, {}), _key(side))],
            gpu_model=variables["DIFFOPT_SIMULATED_MODEL"],
            environment=variables,
        )
        for side, variables in sides.items()
    ]
    read_sides(requests, keep, budget=budget)


def _key(side: str) -> str:
    return side if side == Side.SIMULATED.value else "real"


def _is_missing(figures: Mapping[str, Any], key: str) -> bool:
    return key not in figures and "failed" not in figures


def _is_complete(figures: Mapping[str, Any]) -> bool:
    return "failed" in figures or {"simulated", "real"} <= figures.keys()


def verdict_on(cases: Sequence[Case], results: Results) -> Verdict:
    """Judge the cases with both readings."""
    figures = {case.name: results.cases.get(case.name, {}) for case in cases}
    agreements = [
        Agreement(
            case=case.name,
            is_pipeline=case.is_pipeline,
            simulated=Reading(**figures[case.name]["simulated"]),
            real=Reading(**figures[case.name]["real"]),
        )
        for case in cases
        if {"simulated", "real"} <= figures[case.name].keys()
    ]
    failures = {name: one["failed"] for name, one in figures.items() if "failed" in one}
    return judge(agreements, failures, limits_for(str(torch.__version__)))


def _record_rows(cases: Sequence[Case], verdict: Verdict) -> None:
    rows = compared_rows(verdict.agreements, {case.name: case.row for case in cases})
    record(Version(torch.__version__).base_version, agreed=rows.agreed, differed=rows.differed)


def _progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _again(options: argparse.Namespace) -> str:
    budget = f" --budget-seconds {options.budget_seconds:g}" if math.isfinite(options.budget_seconds) else ""
    return f"python -m benchmarks.simulated_vs_cuda --real {options.real} --json {options.json}{budget}"


if __name__ == "__main__":
    sys.exit(main())
