"""One case in a process of its own: memory that ran out, or a CUDA error, is gone with it.

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

#: In place of a case's name: the machine itself.
ENVIRONMENT = "environment"


def main() -> int:
    """Write what the case gave."""
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
    """End in order when the time is over: what was started in other sessions is ended too."""
    sys.exit(128 + number)


def environment_of(setting: Setting) -> Figures:
    """Describe the machine; asked for in a process of its own, so that none but the cases hold memory of the GPU."""
    if not setting.is_rehearsal and not torch.cuda.is_available():
        found = f"this measures on an NVIDIA GPU, and torch {torch.__version__} sees no CUDA device"
        return {"refused": f"{found}; --rehearse runs it on the CPU, tiny, and measures nothing"}
    environment = capture_environment(setting.device)
    versions = dict(environment.versions) | ({} if setting.is_rehearsal else {"cuda": str(torch.version.cuda)})
    return {"device": environment.device_name, "versions": versions}


def measured(case: Case) -> Figures:
    """Measure a case; what it raises is a result, its traceback goes where the process writes."""
    try:
        return case.measure()
    except Exception as error:  # noqa: BLE001 - one case that fails is told, and the others are measured
        traceback.print_exc()
        return {"failed": f"{type(error).__name__}: {error}".splitlines()[0]}


if __name__ == "__main__":
    sys.exit(main())
