"""Comparison of the outputs of repeated calls."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from pytest_diffopt.errors import ProbeError
from pytest_diffopt.probes.call_outputs import named_values
from pytest_diffopt.probes.image_arrays import Pixels
from pytest_diffopt.records import RepeatabilityRecord, Subject

#: Every value of each part of an output, by the part's name.
Values = Mapping[str, Pixels]

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
    first = {name: copied_values(make()) for name, make in calls.items()}
    again = [compare_values(first[name], named_values(calls[name]()), subject, name) for name in reversed(calls)]
    return next((record for record in reversed(again) if record.differing_values), again[-1])


def copied_values(output: Any) -> Values:
    """Return every value of each part of an output by the part's name, copied."""
    return {part: values.copy() for part, values in named_values(output).items()}


def compare_values(first: Values, second: Values, subject: Subject, name: str = "") -> RepeatabilityRecord:
    """Compare every value of two outputs.

    Args:
        first: output of the first call, by the name of each part: `images`, `frames` or `audio`.
        second: output of the second call.
        subject: the pipeline.
        name: name of the call; empty for the test's own.

    Returns:
        The record of the first part that differs, else that of the first part.

    Raises:
        ProbeError: the parts or their shapes differ.
    """
    shapes = [", ".join(f"{part} {values.shape}" for part, values in output.items()) for output in (first, second)]
    if shapes[0] != shapes[1]:
        ours, theirs = (one.removeprefix("images ") for one in shapes)
        msg = f"both outputs of the same call must have one shape, got: {ours} and {theirs}"
        raise ProbeError(msg)
    records = [_compared(values, second[part], subject, name, part) for part, values in first.items()]
    return next((record for record in records if record.differing_values), records[0])


def _compared(first: Pixels, second: Pixels, subject: Subject, name: str, output: str) -> RepeatabilityRecord:
    # NaN equals NaN here: the image guard reports NaN.
    differs = ~np.isclose(first, second, rtol=0, atol=0, equal_nan=True)
    errors = np.abs(first[differs] - second[differs])
    return RepeatabilityRecord(
        subject=subject,
        call=name,
        differing_values=int(differs.sum()),
        values=first.size,
        max_error=float(errors.max()) if errors.size else 0.0,
        output=output,
    )
