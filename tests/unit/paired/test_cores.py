"""A pair of processes shares one core, and the next pair uses another."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from pytest_diffopt.paired.cores import share_core

pytestmark = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs CPU affinity")


@pytest.fixture
def pids() -> Iterator[list[int]]:
    """Two idle processes."""
    processes = [subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) for _ in range(2)]
    yield [process.pid for process in processes]
    for process in processes:
        process.communicate()


def test_both_processes_are_pinned_to_one_core(pids: list[int]) -> None:
    """Successive pairs use all cores available to this process."""
    cores = sorted(os.sched_getaffinity(0))
    for number in range(len(cores) + 1):
        core = share_core(pids, number=number)

        assert core == cores[number % len(cores)]
        assert [os.sched_getaffinity(pid) for pid in pids] == [{core}, {core}]


def test_forbidden_affinity_pins_nothing(pids: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """A container may forbid it: the gate then times the processes on any core."""

    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "sched_setaffinity", refuse)

    assert share_core(pids, number=0) is None


def test_missing_affinity_pins_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The call does not exist on macOS and Windows."""
    monkeypatch.delattr(os, "sched_setaffinity")

    assert share_core([1], number=0) is None
