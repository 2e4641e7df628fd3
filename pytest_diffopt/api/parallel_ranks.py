"""Start the processes that make a call together, wait until each has answered, and leave none of them behind."""

import os
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import torch

from pytest_diffopt.api.parallel_answer import Rank, RankAnswer, read_answer
from pytest_diffopt.api.second_process import command_of, environment_of, last_lines
from pytest_diffopt.errors import ProbeError
from pytest_diffopt.session.active_test import active_test
from pytest_diffopt.session.second_process import NUMBER_VARIABLE, SecondProcess

_POLL_SECONDS = 0.05
_SECONDS_TO_END = 5.0
_THREADS = "OMP_NUM_THREADS"


def require_test(asserted_by: str) -> None:
    """Require a running test, which other processes can run again.

    Args:
        asserted_by: the public name of the assertion, for messages.

    Raises:
        ProbeError: no test runs.
    """
    if active_test().second_process is None:
        msg = (
            f"{asserted_by} runs the test again in other processes, which build the pipeline themselves; it needs a "
            "test that pytest runs, got: a call outside pytest"
        )
        raise ProbeError(msg)


def answers_of_ranks(processes: int) -> list[RankAnswer]:
    """Run this test alone in several processes, up to the call counted last, and return their answers.

    Args:
        processes: the number of processes.

    Raises:
        ProbeError: a process ended, raised or took too long before it answered.
    """
    test = active_test()
    assert test.second_process is not None, "unreachable because a test is required before"  # noqa: S101
    test.progress(f"making the same call in {processes} processes")
    with tempfile.TemporaryDirectory(prefix="diffopt-parallel-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        process = test.second_process(folder / "cache")
        ranks = [Rank(number=number, processes=processes, folder=folder) for number in range(processes)]
        common = {NUMBER_VARIABLE: str(test.second_process_calls - 1), **_threads(processes)}
        with _started(process, ranks, common) as started:
            _wait(started, process, test.settings.worker_timeout_seconds)
            _let_end(started.values())
        return [read_answer(rank.answer_file) for rank in ranks]


def _threads(processes: int) -> Mapping[str, str]:
    """Return how many threads each process gets: together as many as this one has, unless the user decided."""
    return {} if _THREADS in os.environ else {_THREADS: str(max(1, torch.get_num_threads() // processes))}


@contextmanager
def _started(
    process: SecondProcess, ranks: Sequence[Rank], common: Mapping[str, str]
) -> Iterator[dict[Rank, "subprocess.Popen[bytes]"]]:
    """Start the processes, and end those that still run when the block ends."""
    with ExitStack() as stack:
        started = {}
        for rank in ranks:
            output = stack.enter_context(_output_of(rank).open("wb"))
            started[rank] = subprocess.Popen(  # noqa: S603 - our own interpreter, the user's own test
                command_of(process),
                cwd=process.folder,
                env=environment_of(process, {**common, **rank.variables}),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            stack.callback(_end, started[rank])
        yield started


def _let_end(processes: Iterable["subprocess.Popen[bytes]"]) -> None:
    """Let processes that have answered remove their temporary files."""
    for process in processes:
        with suppress(subprocess.TimeoutExpired):
            process.wait(_SECONDS_TO_END)


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(_SECONDS_TO_END)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait(started: Mapping[Rank, "subprocess.Popen[bytes]"], process: SecondProcess, timeout_seconds: float) -> None:
    """Wait for all answers; the first process that fails ends the wait, because the others wait for it."""
    end = time.monotonic() + timeout_seconds
    while waiting := [rank for rank in started if not rank.answer_file.exists()]:
        ended = [rank for rank in waiting if started[rank].poll() is not None]
        raised = [rank for rank in started if rank.error_file.exists()]
        if raised:
            first = min(raised, key=lambda rank: rank.error_file.stat().st_mtime_ns)
            msg = f"{first} raised before it answered: {first.error_file.read_text(encoding='utf-8')}"
            raise ProbeError(msg)
        lost = [rank for rank in ended if not rank.answer_file.exists()]
        if lost:
            raise ProbeError(_without_answer(lost[0], started[lost[0]].returncode, process))
        if time.monotonic() > end:
            names = " and ".join(map(str, waiting))
            msg = f"{names} did not answer within {timeout_seconds:g} s (--diffopt-worker-timeout): all were ended"
            raise ProbeError(msg)
        time.sleep(_POLL_SECONDS)


def _without_answer(rank: Rank, status: int, process: SecondProcess) -> str:
    output = _output_of(rank).read_text(encoding="utf-8", errors="replace")
    how = f"killed by signal {-status}" if status < 0 else f"exit status {status}"
    headline = f"{rank} ended before the call ({how}); its last output:"
    return "\n".join([headline, *last_lines(process, output)])


def _output_of(rank: Rank) -> Path:
    return rank.folder / f"output-{rank.number}.txt"
