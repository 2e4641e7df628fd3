"""The commands `null-gpu` and `doctor`."""

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pytest_diffopt.null_gpu.doctor import check_devices, doctor_lines
from pytest_diffopt.null_gpu.errors import NullGpuError
from pytest_diffopt.null_gpu.gpus import DEFAULT_GPU, find_gpu, gpu_names
from pytest_diffopt.null_gpu.launching import run
from pytest_diffopt.null_gpu.recording import RECORDS_VARIABLE, VALUES_VARIABLE, read_records
from pytest_diffopt.null_gpu.summary import summary_lines

_STARTUP = Path(__file__).parent / "startup"
_BAD_INPUT = 2  # as argparse's own
_NO_VALUES = "none"


def add_to(commands: Any) -> None:
    """Add `null-gpu` and `doctor` to the commands of `python -m pytest_diffopt`.

    Args:
        commands: the subparsers of argparse.
    """
    parser = commands.add_parser("null-gpu", help="run a command on the null GPU and print what it did there")
    add_arguments(parser)
    parser.set_defaults(run=_run_and_exit)
    doctor = commands.add_parser("doctor", help="print which of the three devices this machine offers")
    doctor.set_defaults(run=run_doctor)


def _run_and_exit(options: argparse.Namespace) -> bool:
    """End this process with the exit code or the signal of the command."""
    raise SystemExit(exit_as(run_command(options)))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `null-gpu`."""
    parser.add_argument("--gpu", default=DEFAULT_GPU, metavar="NAME", help=f"one of: {', '.join(gpu_names())}")
    parser.add_argument("--count", type=int, default=1, metavar="N", help="how many GPUs there are, 1 to 8")
    parser.add_argument(
        "--values",
        choices=("small", "all", _NO_VALUES),
        default="small",
        help="which tensors have values: those of up to 4 MiB that depend on no larger one, all, or none",
    )
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND", help="what to run")


def run_command(options: argparse.Namespace) -> int:
    """Run the command of `null-gpu`, print the summary on stderr and return the exit code.

    Raises:
        NullGpuError: the command cannot be run.
    """
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command:
        msg = "no command was given: python -m pytest_diffopt.null_gpu [OPTIONS] -- COMMAND"
        raise NullGpuError(msg)
    with tempfile.TemporaryDirectory(prefix="null-gpu-") as folder:
        records = Path(folder)
        variables = _variables(records, values=options.values)
        code = run(command, gpu=options.gpu, count=options.count, variables=variables)
        name = find_gpu(options.gpu).name
        sys.stderr.writelines(
            f"{line}\n" for line in summary_lines(read_records(records), gpu=name, count=options.count)
        )
    return code


def _variables(records: Path, *, values: str) -> Mapping[str, str]:
    path = os.environ.get("PYTHONPATH", "")
    variables = {
        RECORDS_VARIABLE: str(records),
        "PYTHONPATH": f"{_STARTUP}{os.pathsep}{path}" if path else str(_STARTUP),
    }
    return variables if values == _NO_VALUES else variables | {VALUES_VARIABLE: values}


def exit_as(code: int) -> int:
    """Return an exit code; end this process by the signal that ended the command, if one did."""
    if code < 0:
        with suppress(OSError):  # SIGKILL has no handler
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


def run_doctor(_: argparse.Namespace) -> int:
    """Print which devices this machine offers; the exit code is 0 whatever they are."""
    sys.stdout.writelines(f"{line}\n" for line in doctor_lines(check_devices()))
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `python -m pytest_diffopt.null_gpu` and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m pytest_diffopt.null_gpu",
        description="Run a command on the null GPU, and print what it did there.",
    )
    parser.add_argument("--doctor", action="store_true", help="print which devices this machine offers, and exit")
    add_arguments(parser)
    options = parser.parse_args(arguments)
    try:
        return run_doctor(options) if options.doctor else exit_as(run_command(options))
    except NullGpuError as error:
        sys.stderr.write(f"error: {error}\n")
        return _BAD_INPUT
