"""Measure one case in a separate process, so that a CUDA error or lost memory does not affect other cases.

python -m benchmarks.on_gpu.one_case ladder diffusion-fast-1-fp32 answer.json --reports DIR [--rehearse]
"""

import argparse
import json
import signal
import sys
import traceback
from pathlib import Path
from types import FrameType

import torch

from benchmarks.on_gpu.command import Case, Figures
from benchmarks.on_gpu.commands import COMMANDS
from benchmarks.on_gpu.setting import Setting
from pytest_diffopt.environment import capture_environment
from pytest_diffopt.null_gpu.activity import is_active

#: Instead of a case's name: describe the machine.
ENVIRONMENT = "environment"


def main() -> int:
    """Write the result of the case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("case")
    parser.add_argument("answer", type=Path)
    parser.add_argument("--reports", type=Path, required=True)
    parser.add_argument("--rehearse", action="store_true")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, _end)
    setting = Setting(is_rehearsal=options.rehearse, reports=options.reports)
    cases = {case.name: case for case in COMMANDS[options.command].cases(setting)}
    answer = environment_of(setting) if options.case == ENVIRONMENT else measured(cases[options.case])
    options.answer.write_text(json.dumps(answer), encoding="utf-8")
    return 0


def _end(number: int, _frame: FrameType | None) -> None:
    """Exit by an exception when the time is over, so that processes of other sessions are ended too."""
    sys.exit(128 + number)


def environment_of(setting: Setting) -> Figures:
    """Return the machine and its versions; runs in a separate process, so that only cases allocate GPU memory."""
    unmet = "" if setting.is_rehearsal else _why_not_measured()
    if unmet:
        return {"refused": f"needs an NVIDIA GPU, but {unmet}; --rehearse runs tiny pipelines, without measuring"}
    environment = capture_environment(setting.device)
    versions = dict(environment.versions) | ({} if setting.is_rehearsal else {"cuda": str(torch.version.cuda)})
    return {"device": environment.device_name, "versions": versions}


def _why_not_measured() -> str:
    if is_active():
        return "this is the null GPU, on which nothing can be measured"
    return "" if torch.cuda.is_available() else f"torch {torch.__version__} finds no CUDA device"


def measured(case: Case) -> Figures:
    """Measure a case; an exception is a result, and its traceback goes to the log."""
    try:
        return case.measure()
    except Exception as error:  # noqa: BLE001 - a failed case is reported, and the others are measured
        traceback.print_exc()
        return {"failed": f"{type(error).__name__}: {error}".splitlines()[0]}


if __name__ == "__main__":
    sys.exit(main())
