"""Tests of comparing the outputs of repeated calls."""

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
    """Return a call that returns these outputs, one after the other."""
    left = iter(outputs)
    return lambda: next(left)


def record(differing: int, max_error: float, *, values: int = 4) -> RepeatabilityRecord:
    """Return a record."""
    return RepeatabilityRecord(subject=SUBJECT, differing_values=differing, values=values, max_error=max_error)


def test_equal_outputs_do_not_differ() -> None:
    """Two equal tensors."""
    assert compare_repeats(returning(torch.ones(4), torch.ones(4)), SUBJECT) == record(0, 0.0)


def test_each_differing_value_is_counted() -> None:
    """Even a difference of one bit; the largest difference is recorded."""
    call = returning(np.array([0.0, 1.0, 2.0, 3.0]), np.array([0.0, 1.0 + 1e-15, 2.5, 3.0]))

    assert compare_repeats(call, SUBJECT) == record(2, 0.5)


def test_an_output_overwritten_by_the_second_call_was_copied() -> None:
    """Calls may reuse a buffer, as with CUDA graphs."""
    buffer = torch.zeros(4)

    def call() -> torch.Tensor:
        return buffer.add_(1)

    assert compare_repeats(call, SUBJECT) == record(4, 1.0)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_nan_and_infinite_values_equal_themselves(value: float) -> None:
    """A defective image can be repeatable; the image guard reports the defect."""
    assert compare_repeats(returning(np.full(4, value), np.full(4, value)), SUBJECT) == record(0, 0.0)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_value_that_becomes_nan_or_infinite_differs(value: float) -> None:
    """The largest difference is then not finite."""
    found = compare_repeats(returning(np.ones(4), np.array([1.0, 1.0, 1.0, value])), SUBJECT)

    assert found.differing_values == 1
    assert not math.isfinite(found.max_error)


def test_outputs_of_different_shapes_are_refused() -> None:
    """The message states both shapes."""
    with pytest.raises(ProbeError) as error:
        compare_repeats(returning(np.ones(4), np.ones((2, 2))), SUBJECT)

    assert str(error.value) == "both outputs of the same call must have one shape, got: (4,) and (2, 2)"


def test_calls_are_repeated_in_reverse_order() -> None:
    """Each call is thereby made once after every other."""
    made: list[str] = []

    def making(name: str) -> Callable[[], object]:
        def make() -> object:
            made.append(name)
            return torch.ones(1)

        return make

    found = compare_repeats(making("own"), SUBJECT, {"b": making("b"), "c": making("c")})

    assert made == ["own", "b", "c", "c", "b", "own"]
    assert found == record(0, 0.0, values=1)


def test_a_differing_call_is_named() -> None:
    """The own call takes precedence when both differ."""
    one, two = torch.zeros(1), torch.ones(1)

    assert compare_repeats(returning(one, one), SUBJECT, {"b": returning(one, two)}).call == "b"
    assert compare_repeats(returning(one, two), SUBJECT, {"b": returning(one, two)}).call == ""
