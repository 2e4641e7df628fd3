"""The same test in a second process, which makes the same call, writes its values to a file, and ends."""

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from pytest_diffopt.errors import ProbeError
from pytest_diffopt.probes.repeatability import Values
from pytest_diffopt.session.active_test import active_test
from pytest_diffopt.session.second_process import ANSWER_VARIABLE, NUMBER_VARIABLE, TEST_VARIABLE, SecondProcess

# What belongs to this process alone.
_NOT_INHERITED = ("PYTEST_CURRENT_TEST", "PYTEST_XDIST_", "COV_CORE_", "GITHUB_STEP_SUMMARY")
_ORDER = ("images", "frames", "audio")  # a file has its parts in any order
_SHOWN_LINES = 20


def answers_here() -> bool:
    """Return whether this is the second process and this call of the test the requested one."""
    test = active_test()
    number = test.second_process_calls
    test.second_process_calls += 1
    return os.environ.get(NUMBER_VARIABLE) == str(number)


def answer(values: Values) -> NoReturn:
    """Write the values of the call and end the test: the first process judges."""
    save_file({part: np.ascontiguousarray(its) for part, its in values.items()}, os.environ[ANSWER_VARIABLE])
    end_test()


def end_test() -> NoReturn:
    """End the test in a process that has answered: the first process judges."""
    pytest.skip("diffopt: this call was made for another process, which judges it")


def values_of_second_process() -> Values:
    """Run this test alone in another process, up to the call counted last, and return the values of that call.

    Raises:
        ProbeError: no test runs, or the other process ended before it made the call.
    """
    test = active_test()
    if test.second_process is None:
        msg = (
            "second_process=True runs the test again in another process, which builds the pipeline itself; "
            "it needs a test that pytest runs, got: a call outside pytest"
        )
        raise ProbeError(msg)
    test.progress("making the same call in a second process")
    with tempfile.TemporaryDirectory(prefix="diffopt-second-process-") as folder:
        file = Path(folder) / "values.safetensors"
        process = test.second_process(Path(folder) / "cache")
        variables = _variables(file, test.second_process_calls - 1)
        output = run_second_process(process, variables, test.settings.worker_timeout_seconds)
        if not file.exists():
            raise ProbeError(_without_answer(process, output))
        values: Values = load_file(file)
        return {part: values[part] for part in sorted(values, key=_ORDER.index)}


def command_of(process: SecondProcess) -> list[str]:
    """Return the command that runs one test alone."""
    return [sys.executable, "-m", "pytest", *process.arguments]


def run_second_process(process: SecondProcess, variables: Mapping[str, str], timeout_seconds: float) -> str:
    """Run one test alone in another process, and return its output.

    Args:
        process: how pytest runs the test.
        variables: what the process is started for, as environment variables.
        timeout_seconds: the time after which the process is killed.
    """
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter, the user's own test
            command_of(process),
            cwd=process.folder,
            env=environment_of(process, variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            timeout=timeout_seconds,
        )
    except subprocess.TimeoutExpired as error:
        return f"killed after {timeout_seconds:g} s (--diffopt-worker-timeout)\n{_text(error.stdout)}"
    return _text(done.stdout)


def _text(output: bytes | None) -> str:
    return (output or b"").decode("utf-8", errors="replace")


def environment_of(process: SecondProcess, variables: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment without what belongs to this process alone."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith(_NOT_INHERITED)}
    return kept | {"PYTEST_ADDOPTS": process.addopts, TEST_VARIABLE: process.nodeid} | dict(variables)


def _variables(file: Path, number: int) -> dict[str, str]:
    """Return what the second process is started for, with another hash seed than this process's."""
    seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    return {ANSWER_VARIABLE: str(file), NUMBER_VARIABLE: str(number), "PYTHONHASHSEED": seed}


def _without_answer(process: SecondProcess, output: str) -> str:
    return "\n".join(["the second process ended before the call; its last output:", *last_lines(process, output)])


def last_lines(process: SecondProcess, output: str) -> list[str]:
    """Return the last lines of a process that ended before the call, and the command that runs the test alone."""
    return [
        *[f"    {line}" for line in output.splitlines() if line.strip()][-_SHOWN_LINES:],
        "  the test must run alone and build its pipeline itself or in its fixtures:",
        f"  {shlex.join(command_of(process))}",
    ]
