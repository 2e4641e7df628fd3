"""Test the notes of a method's calls."""

import inspect
from copy import deepcopy
from typing import Any

import pytest

from pytest_diffopt.probes.noted_calls import calls_noted, results_noted


class Scheduler:
    """A scheduler that counts its steps."""

    def __init__(self) -> None:
        self.steps = 0

    def step(self, by: int, *, generator: Any = None) -> int:
        """Count a step."""
        assert generator is None
        self.steps += by
        return self.steps


def test_each_call_is_noted_and_made() -> None:
    """The result, the keywords and the signature are the method's; afterwards the method is the class's again."""
    scheduler, noted = Scheduler(), list[tuple[Any, ...]]()

    with calls_noted(scheduler, "step", noted.append):
        assert list(inspect.signature(scheduler.step).parameters) == ["by", "generator"]
        assert scheduler.step(2, generator=None) == 2

    assert noted == [(2,)]
    assert "step" not in vars(scheduler)


def test_a_copy_steps_by_itself_and_is_not_noted() -> None:
    """A pipeline may copy its scheduler in a call: the copy's steps are not the original's."""
    scheduler, noted = Scheduler(), list[tuple[Any, ...]]()

    with calls_noted(scheduler, "step", noted.append):
        scheduler.step(1)
        copied = deepcopy(scheduler)
        copied.step(4)

    assert (scheduler.steps, copied.steps, noted) == (1, 5, [(1,)])


def test_each_of_several_watches_sees_a_call() -> None:
    """A watch around another one hides neither it nor the method."""
    scheduler, inner, outer, results = Scheduler(), list[Any](), list[Any](), list[Any]()

    with (
        calls_noted(scheduler, "step", inner.append),
        results_noted(scheduler, "step", results.append),
        calls_noted(scheduler, "step", outer.append),
    ):
        scheduler.step(3)

    assert (inner, results, outer) == ([(3,)], [3], [(3,)])


def test_an_error_restores_the_method() -> None:
    """A method of the user's own on the instance is kept."""
    scheduler = Scheduler()
    own = vars(scheduler)["step"] = int

    with pytest.raises(ValueError, match="invalid literal"), calls_noted(scheduler, "step", lambda _args: None):
        vars(scheduler)["step"]("three")

    assert vars(scheduler)["step"] is own
