"""Whether the same call gives the same output twice."""

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
    """Make each call twice, the second time in the opposite order, and compare every value.

    Args:
        call: makes the same call each time, generators set back.
        subject: the pipeline.
        others: calls that are made in between, by name, so that what one leaves behind another finds.

    Returns:
        The own call, or the first of the others that differs where the own one does not.

    Raises:
        ProbeError: the second output has another shape.
    """
    __tracebackhide__ = True
    calls = {"": call, **others}
    # The values are copied out before the next call, which may reuse the first one's buffers.
    first = {name: values_of(make()).copy() for name, make in calls.items()}
    again = [compare_values(first[name], values_of(calls[name]()), subject, name) for name in reversed(calls)]
    return next((record for record in reversed(again) if record.differing_values), again[-1])


def compare_values(first: Pixels, second: Pixels, subject: Subject, name: str = "") -> RepeatabilityRecord:
    """Compare every value of what two calls gave.

    Args:
        first: what the first gave.
        second: what the second gave.
        subject: the pipeline.
        name: of the call; empty for the test's own.

    Raises:
        ProbeError: the second has another shape.
    """
    if first.shape != second.shape:
        msg = f"the same call must give outputs of one shape, got: {first.shape} and {second.shape}"
        raise ProbeError(msg)
    # NaN equals NaN here: an image of NaN is the image guard's business.
    differs = ~np.isclose(first, second, rtol=0, atol=0, equal_nan=True)
    errors = np.abs(first[differs] - second[differs])
    return RepeatabilityRecord(
        subject=subject,
        call=name,
        differing_values=int(differs.sum()),
        values=first.size,
        max_error=float(errors.max()) if errors.size else 0.0,
    )
