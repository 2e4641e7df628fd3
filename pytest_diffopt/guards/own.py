"""The verdict of a guard outside this package."""

from collections.abc import Sequence

from pytest_diffopt.guards.failure_text import explain
from pytest_diffopt.guards.verdict import Outcome, Verdict
from pytest_diffopt.records import Concern, OwnRecord


def judge_own(record: OwnRecord, *, failure: str, facts: Sequence[str] = (), hint: str = "") -> Verdict:
    """Return the verdict that the guard reached.

    Args:
        record: what it measured.
        failure: the headline of the failure; empty if the guard passed.
        facts: lines that explain the failure.
        hint: what to do about it.
    """
    figures = ", ".join(f"{name} {value:g}" for name, value in record.figures.items())
    return Verdict(
        concern=Concern.OWN,
        outcome=Outcome.REGRESSED if failure else Outcome.PASSED,
        subject=record.subject,
        summary=f"{record.guard}: {failure or figures}",
        explanation=explain(f"{record.guard}: {failure}", facts, seen=f"in {record.subject}", hint=hint)
        if failure
        else (),
        figures=dict(record.figures),
    )
