"""A pair of processes shares one core, and the next pair has another."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from pytest_diffopt.paired.cores import share_core

pytestmark = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system binds no process to a core")


@pytest.fixture
def pids() -> Iterator[list[int]]:
    """Two processes that wait."""
    processes = [subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) for _ in range(2)]
    yield [process.pid for process in processes]
    for process in processes:
        process.communicate()


def test_both_are_bound_to_one_core(pids: list[int]) -> None:
    """The pairs go through all cores that this process may use."""
    cores = sorted(os.sched_getaffinity(0))
    for number in range(len(cores) + 1):
        core = share_core(pids, number=number)

        assert core == cores[number % len(cores)]
        assert [os.sched_getaffinity(pid) for pid in pids] == [{core}, {core}]


def test_a_system_that_forbids_it_is_left_alone(pids: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """A container may: the gate then times them wherever they are."""

    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "sched_setaffinity", refuse)

    assert share_core(pids, number=0) is None


def test_other_systems_bind_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """On macOS and Windows there is no such call."""
    monkeypatch.delattr(os, "sched_setaffinity")

    assert share_core([1], number=0) is None
