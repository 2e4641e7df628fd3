"""Test the parent of the workers that run diffusers' tests."""

import time

import msgspec
import pytest

from benchmarks.diffusers_tests.results import Done, Outcome, Result, parsed
from benchmarks.diffusers_tests.supervising import run_worker

STARTED = Result(group="wan", case="test_wan::WanTests", outcome=Outcome.CRASHED)
RAN = msgspec.structs.replace(STARTED, outcome=Outcome.RAN)


def run(*lines: Result | Done, code: int = 0) -> list[Result | Done]:
    """Run a worker that prints lines and exits, and return what is kept."""
    printed = b"".join(msgspec.json.encode(line) + b"\n" for line in lines).decode()
    kept: list[bytes] = []
    run_worker(["-c", f"print({printed!r}, end=''); raise SystemExit({code})"], Result, kept.append)
    return [parsed(line, Result) for line in kept]


def test_results_and_the_end_of_a_group_are_kept() -> None:
    """A pipeline that starts is not a result."""
    assert run(STARTED, RAN, Done(done="wan")) == [RAN, Done(done="wan")]


def test_a_pipeline_that_crashes_its_worker_is_a_result() -> None:
    """The result has the exit code."""
    crashed = msgspec.structs.replace(STARTED, reason="the process exited with code 3")

    assert run(STARTED, code=3) == [crashed]


def test_a_worker_that_fails_outside_of_a_pipeline_ends_the_run() -> None:
    """There is nothing that could be left out of the next attempt."""
    with pytest.raises(SystemExit, match="the worker exited with code 3 outside of a pipeline; its output is above"):
        run(STARTED, RAN, code=3)


def test_a_worker_is_stopped_at_its_time() -> None:
    """What it was running is no result; what it finished is, unless the machine is so busy that nothing was."""
    lines = b"".join(msgspec.json.encode(line) + b"\n" for line in (STARTED, RAN, STARTED)).decode()
    kept: list[bytes] = []

    script = f"import time; print({lines!r}, end='', flush=True); time.sleep(600)"
    run_worker(["-c", script], Result, kept.append, until=time.monotonic() + 2)

    assert [parsed(line, Result) for line in kept] in ([RAN], [])
