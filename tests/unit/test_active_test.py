"""Assertions know the test that they run in, and work outside of one."""

import numpy as np
import pytest

from pytest_diffopt.active_test import ActiveTest, active_test, running
from pytest_diffopt.assertions import assert_repeatable


def fail_in(test: ActiveTest) -> None:
    """Raise within a test."""
    with running(test):
        assert active_test() is test
        raise ArithmeticError


def test_the_innermost_test_is_the_active_one() -> None:
    """And the outer one again after it, also when it failed."""
    outer, inner = ActiveTest(nodeid="outer"), ActiveTest(nodeid="inner")
    with running(outer):
        with pytest.raises(ArithmeticError):
            fail_in(inner)
        assert active_test() is outer


def test_verdicts_are_taken_once() -> None:
    """A report carries them, and the next report only what came after it."""
    test = ActiveTest(nodeid="test_it.py::test_it")
    with running(test):
        assert_repeatable(lambda: np.ones((1, 2, 2, 3)))
    (entry,) = test.take_entries()

    assert entry.nodeid == "test_it.py::test_it"
    assert test.take_entries() == []
