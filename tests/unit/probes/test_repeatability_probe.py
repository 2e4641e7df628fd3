"""The same call twice, compared value by value."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from pytest_diffopt.errors import ProbeError
from pytest_diffopt.probes.repeatability import compare_repeats
from pytest_diffopt.records import RepeatabilityRecord, Subject

SUBJECT = Subject(pipeline="sdxl")


def returning(*outputs: object) -> Callable[[], object]:
    """Make a call that gives these, one after the other."""
    left = iter(outputs)
    return lambda: next(left)


def record(differing: int, max_error: float, *, values: int = 4) -> RepeatabilityRecord:
    """Describe two calls."""
    return RepeatabilityRecord(subject=SUBJECT, differing_values=differing, values=values, max_error=max_error)


def test_equal_bits_differ_in_nothing() -> None:
    """Two tensors of one value each."""
    assert compare_repeats(returning(torch.ones(4), torch.ones(4)), SUBJECT) == record(0, 0.0)


def test_each_value_that_differs_is_counted() -> None:
    """However little; the largest difference is told."""
    call = returning(np.array([0.0, 1.0, 2.0, 3.0]), np.array([0.0, 1.0 + 1e-15, 2.5, 3.0]))

    assert compare_repeats(call, SUBJECT) == record(2, 0.5)


def test_an_output_that_the_second_call_overwrites_is_still_the_first() -> None:
    """A buffer that is reused, as CUDA graphs do, does not make two images one."""
    buffer = torch.zeros(4)

    def call() -> torch.Tensor:
        return buffer.add_(1)

    assert compare_repeats(call, SUBJECT) == record(4, 1.0)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_values_that_are_no_numbers_are_equal_to_themselves(value: float) -> None:
    """A broken image that is broken the same way is repeatable; that it is broken is another guard's business."""
    assert compare_repeats(returning(np.full(4, value), np.full(4, value)), SUBJECT) == record(0, 0.0)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_number_that_is_none_the_second_time_differs(value: float) -> None:
    """The largest difference is then no number either."""
    found = compare_repeats(returning(np.ones(4), np.array([1.0, 1.0, 1.0, value])), SUBJECT)

    assert found.differing_values == 1
    assert not math.isfinite(found.max_error)


def test_outputs_of_two_shapes_are_refused() -> None:
    """Both are named."""
    with pytest.raises(ProbeError) as error:
        compare_repeats(returning(np.ones(4), np.ones((2, 2))), SUBJECT)

    assert str(error.value) == "the same call must give outputs of one shape, got: (4,) and (2, 2)"


def test_calls_are_made_again_in_the_opposite_order() -> None:
    """So that each comes once after every other."""
    made: list[str] = []

    def making(name: str) -> Callable[[], object]:
        def make() -> object:
            made.append(name)
            return torch.ones(1)

        return make

    found = compare_repeats(making("own"), SUBJECT, {"b": making("b"), "c": making("c")})

    assert made == ["own", "b", "c", "c", "b", "own"]
    assert found == record(0, 0.0, values=1)


def test_another_call_that_differs_is_named() -> None:
    """The own one is told first where both differ."""
    one, two = torch.zeros(1), torch.ones(1)

    assert compare_repeats(returning(one, one), SUBJECT, {"b": returning(one, two)}).call == "b"
    assert compare_repeats(returning(one, two), SUBJECT, {"b": returning(one, two)}).call == ""
