"""`conclude_own_guard`: the verdict of a guard of your own, in the ledger and the reports like any other."""

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_diffopt.api.calls import WATCHED, subject_of
from pytest_diffopt.api.conclusion import conclude
from pytest_diffopt.api.outside_pytest import standing_alone
from pytest_diffopt.arguments import FIGURES, SOME_TEXT, TEXT, TEXTS, require
from pytest_diffopt.guards.own import judge_own
from pytest_diffopt.records import OwnRecord


@standing_alone
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
        ProbeError: the guard has no name or no figure, a figure is not a finite number, or an argument has the wrong
            type.
    """
    __tracebackhide__ = True
    require(WATCHED, target, "the target of conclude_own_guard")
    for rule, value, name in (
        (SOME_TEXT, guard, "guard"),
        (FIGURES, figures, "figures"),
        (TEXT, failure, "failure"),
        (TEXTS, facts, "facts"),
        (TEXT, hint, "hint"),
    ):
        require(rule, value, f"conclude_own_guard({name}=...)")
    record = OwnRecord(subject=subject_of(target), guard=guard, figures=dict(figures))
    conclude(record, judge_own(record, failure=failure, facts=facts, hint=hint))
