"""Judge whether every optimization of a recipe is applied."""

from pytest_diffopt.guards.failure_text import are, counted, explain
from pytest_diffopt.guards.verdict import Outcome, Verdict
from pytest_diffopt.records import AppliedRecord, Concern, OptimizationState


def judge_applied(record: AppliedRecord) -> Verdict:
    """Judge a record: an optimization that is missing in any place is a regression."""
    unapplied = [state for state in record.optimizations if state.missing]
    total = counted(len(record.optimizations), "optimization")
    return Verdict(
        concern=Concern.APPLIED,
        outcome=Outcome.REGRESSED if unapplied else Outcome.PASSED,
        subject=record.subject,
        summary=_summary(record, unapplied),
        explanation=_explanation(record, unapplied, total) if unapplied else (),
        figures={"optimizations": len(record.optimizations), "unapplied": len(unapplied)},
    )


def _summary(record: AppliedRecord, unapplied: list[OptimizationState]) -> str:
    if unapplied:
        return "not applied: " + ", ".join(state.name for state in unapplied)
    return "; ".join(f"{state.name}: {state.found}" for state in record.optimizations)


def _explanation(record: AppliedRecord, unapplied: list[OptimizationState], total: str) -> tuple[str, ...]:
    facts = [line for state in unapplied for line in _lines(state)]
    return explain(
        f"{len(unapplied)} of {total} {are(len(unapplied))} not applied",
        facts,
        seen=f"in {record.subject}",
        hint="fix how it is applied, or remove it from the recipe",
    )


def _lines(state: OptimizationState) -> list[str]:
    return [f"{state.name}: {state.found}", *(f"  missing: {line}" for line in state.missing)]
