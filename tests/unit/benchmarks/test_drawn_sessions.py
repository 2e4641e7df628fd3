"""Test which times the other timing rules are given: one pair's, and stored ones of others of its group."""

from benchmarks.false_alarms.measuring import Pair
from benchmarks.false_alarms.rules import pytest_benchmark, sessions_of, share
from pytest_diffopt.records import PairedBlock
from tests.unit.benchmarks.pair_examples import measured_pair


def pair(base_ns: int, head_ns: int) -> Pair:
    """Return a pair whose processes take these times for two calls."""
    blocks = (PairedBlock(base_ns=(base_ns, base_ns), head_ns=(head_ns, head_ns)),)
    return measured_pair(0.05, repeats=2, blocks=(), seconds_in_turn=1.0, blocks_in_turn=blocks)


def test_stored_times_are_those_of_other_pairs() -> None:
    """They are of the same group, because pairs of another one may be of another machine."""
    sessions = sessions_of([pair(200, 210), pair(400, 420)], number=20, seed=0)

    assert {(one.base[0], one.head[0], one.stored[0][0]) for one in sessions} == {(100, 105, 200), (200, 210, 100)}


def test_only_pair_is_its_own_stored_one() -> None:
    """There is no other; without any there is no session, and no share."""
    (session,) = sessions_of([pair(200, 210)], number=1, seed=0)

    assert session.stored[0][0] == 100
    assert share(pytest_benchmark(0.04), [session]) == 1.0
    assert share(pytest_benchmark(0.06), [session]) == 0.0
    assert sessions_of([], number=5, seed=0) == []
