"""Counts of a call whose pipeline is on a GPU: the test runs again up to the call, in a process without a GPU.

The simulated GPU could not be moved to and from in a process that uses a real one: it keeps the values of the GPU's
tensors as host memory, and afterwards torch takes it for the machine's accelerator.
"""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import msgspec
import pytest

from pytest_diffopt.api.calls import CallArguments
from pytest_diffopt.api.second_process import run_second_process
from pytest_diffopt.probes.counts import try_to_count
from pytest_diffopt.records import CountRecord, Subject
from pytest_diffopt.session.active_test import active_test
from pytest_diffopt.session.count_request import CountRequest, count_request

_NO_ANSWER = "the test could not be run again without a GPU up to its call"


def answer_if_requested(target: Any, arguments: CallArguments, subject: Subject) -> None:
    """Count the call and end the test, if that is what this process was started for.

    Args:
        target: a pipeline, module or function.
        arguments: the arguments of the call.
        subject: description of the target.
    """
    test, request = active_test(), count_request()
    number = test.counted_calls
    test.counted_calls += 1
    if request is not None and request.number == number:
        _answer(request, target, arguments, subject)


def _answer(request: CountRequest, target: Any, arguments: CallArguments, subject: Subject) -> NoReturn:
    answer = try_to_count(target, arguments.positional, arguments.keywords, subject, gpu_model=request.gpu_model)
    request.answer.write_bytes(msgspec.json.encode(answer))
    pytest.skip("diffopt: this call was counted for another process, which judges it")


def count_elsewhere(subject: Subject, *, gpu_model: str) -> tuple[CountRecord | None, str]:
    """Return the counts of the active test's latest call, taken by a process without a GPU.

    Args:
        subject: description of the target.
        gpu_model: the GPU to simulate.

    Returns:
        The counts and an empty string; or None and the reason.
    """
    test = active_test()
    if test.second_process is None:
        return None, "a call on a GPU is counted in another process, which needs a test that pytest runs"
    with tempfile.TemporaryDirectory(prefix="diffopt-counts-") as folder:
        file, number = str(Path(folder) / "counts.json"), test.counted_calls - 1
        request = CountRequest(file=file, number=number, gpu_model=gpu_model)
        process = test.second_process(Path(folder) / "cache")
        output = run_second_process(process, request.variables, test.settings.worker_timeout_seconds)
        if not request.answer.exists():
            return None, f"{_NO_ANSWER}: {_first_error(output)}"
        counts, why_not = msgspec.json.decode(request.answer.read_bytes(), type=tuple[CountRecord | None, str])
    return None if counts is None else replace(counts, subject=subject), why_not


def _first_error(output: str) -> str:
    lines = [line for line in output.splitlines() if line.strip()]
    errors = [line.removeprefix("E").strip() for line in lines if line.startswith("E  ")]
    return (errors or lines[-1:] or ["no output"])[0]
