"""Whether the same call gives the same output twice."""

from collections.abc import Callable
from typing import Any

import numpy as np

from pytest_diffopt.errors import ProbeError
from pytest_diffopt.probes.pictures import values_of
from pytest_diffopt.records import RepeatabilityRecord, Subject


def compare_repeats(call: Callable[[], Any], subject: Subject) -> RepeatabilityRecord:
    """Call twice and compare every value.

    Args:
        call: makes the same call each time, generators set back.
        subject: the pipeline.

    Raises:
        ProbeError: the second output has another shape.
    """
    __tracebackhide__ = True
    # The values are copied out before the second call, which may reuse the first one's buffers.
    first, second = values_of(call()).copy(), values_of(call())
    if first.shape != second.shape:
        msg = f"the same call must give outputs of one shape, got: {first.shape} and {second.shape}"
        raise ProbeError(msg)
    # NaN equals NaN here: a picture of NaN is the picture guard's business.
    differs = ~np.isclose(first, second, rtol=0, atol=0, equal_nan=True)
    errors = np.abs(first[differs] - second[differs])
    return RepeatabilityRecord(
        subject=subject,
        differing_values=int(differs.sum()),
        values=first.size,
        max_error=float(errors.max()) if errors.size else 0.0,
    )
