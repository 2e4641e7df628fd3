"""Frames of the functions that a test of this package calls lie in one chunk of memory."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from pytest_diffopt import assert_no_syncs  # noqa: F401 - makes these tests diffopt's own
from pytest_diffopt.plugin.frame_room import room_for_frames

_CALLS = 2000
_DEPTH = 300  # in frames of more than fifty bytes: some cross the border of a chunk of 16 KiB


def _nothing() -> None:
    pass


def _most_page_faults(depth: int) -> int:
    """Call a function many times at each depth, and return the most page faults of one depth."""
    resource = pytest.importorskip("resource")
    before: int = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(_CALLS):
        _nothing()
    found: int = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    return max(found, _most_page_faults(depth - 1)) if depth else found


def test_no_depth_maps_memory_at_each_call() -> None:
    """This test runs with room itself, because its module imports an assertion."""
    assert _most_page_faults(_DEPTH) < _CALLS / 2


def test_fixtures_have_room_too(in_a_fixture: int) -> None:
    """They build and compile pipelines."""
    assert in_a_fixture < _CALLS / 2


@pytest.fixture
def in_a_fixture() -> int:
    """Call a function many times at each depth."""
    return _most_page_faults(_DEPTH)


def test_the_item_is_as_before() -> None:
    """A test's own methods are called, and are its own again; another plugin's stay."""
    called: list[str] = []
    item: Any = SimpleNamespace(setup=lambda: called.append("setup"), runtest=lambda: called.append("runtest"))
    before = dict(vars(item))
    with room_for_frames(cast("pytest.Item", item)):
        item.setup()
        item.runtest()

    assert called == ["setup", "runtest"]
    assert vars(item) == before
