"""Comparison of the outputs of repeated calls."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from pytest_diffopt.errors import ProbeError
from pytest_diffopt.probes.image_arrays import Pixels, values_of
from pytest_diffopt.records import RepeatabilityRecord, Subject

_NONE: Mapping[str, Callable[[], Any]] = MappingProxyType({})


def compare_repeats(
    call: Callable[[], Any], subject: Subject, others: Mapping[str, Callable[[], Any]] = _NONE
) -> RepeatabilityRecord:
    """Make each call twice, the second time in reverse order, and compare every value.

    Args:
        call: the test's own call, repeatable (its generators are reset).
        subject: the pipeline.
        others: further calls by name, made in between to detect state that one call leaves for another.

    Returns:
        The record of the first call whose output differs, the test's own call first; else that of the own call.

    Raises:
        ProbeError: the second output has another shape.
    """
    __tracebackhide__ = True
    calls = {"": call, **others}
    # Copied: the next call may reuse the buffers.
    first = {name: values_of(make()).copy() for name, make in calls.items()}
    again = [compare_values(first[name], values_of(calls[name]()), subject, name) for name in reversed(calls)]
    return next((record for record in reversed(again) if record.differing_values), again[-1])


def compare_values(first: Pixels, second: Pixels, subject: Subject, name: str = "") -> RepeatabilityRecord:
    """Compare every value of two outputs.

    Args:
        first: output of the first call.
        second: output of the second call.
        subject: the pipeline.
        name: name of the call; empty for the test's own.

    Raises:
        ProbeError: the shapes differ.
    """
    if first.shape != second.shape:
        msg = f"both outputs of the same call must have one shape, got: {first.shape} and {second.shape}"
        raise ProbeError(msg)
    # NaN equals NaN here: the image guard reports NaN.
    differs = ~np.isclose(first, second, rtol=0, atol=0, equal_nan=True)
    errors = np.abs(first[differs] - second[differs])
    return RepeatabilityRecord(
        subject=subject,
        call=name,
        differing_values=int(differs.sum()),
        values=first.size,
        max_error=float(errors.max()) if errors.size else 0.0,
    )
