"""`conclude_own_guard`: the verdict of a guard of your own, in the ledger and the reports like any other."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from pytest_diffopt.api.calls import subject_of
from pytest_diffopt.api.conclusion import conclude
from pytest_diffopt.errors import ProbeError
from pytest_diffopt.guards.own import judge_own
from pytest_diffopt.records import OwnRecord


def conclude_own_guard(  # noqa: PLR0913 - each is a part of one verdict
    target: Any,
    /,
    *,
    guard: str,
    figures: Mapping[str, float],
    failure: str = "",
    facts: Sequence[str] = (),
    hint: str = "",
) -> None:
    """Report the verdict of a guard of your own; the test fails if `failure` is not empty.

    Args:
        target: the pipeline, module or function that was measured.
        guard: the name of the guard.
        figures: what was measured, with units in the names (`copied_bytes`); a guard without a figure saw nothing.
        failure: the headline of the failure, with the figure and what is allowed; empty if the guard passed.
        facts: lines that explain the failure.
        hint: what to do about it.

    Raises:
        ProbeError: the guard has no name or no figure, or a figure is not a finite number.
    """
    __tracebackhide__ = True
    bad = [name for name, value in figures.items() if not _is_finite_number(value)]
    if not guard or not figures or bad:
        msg = (
            "conclude_own_guard needs a name and at least one finite figure, "
            f"got: guard={guard!r}, figures={dict(figures)}"
        )
        raise ProbeError(msg)
    record = OwnRecord(subject=subject_of(target), guard=guard, figures=dict(figures))
    conclude(record, judge_own(record, failure=failure, facts=facts, hint=hint))


def _is_finite_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
