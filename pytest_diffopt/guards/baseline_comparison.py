"""Whether a record can be compared with a baseline, and how their environments differ."""

from collections.abc import Mapping

from pytest_diffopt.baselines.documents import Baseline
from pytest_diffopt.guards.failure_text import explain, in_columns
from pytest_diffopt.guards.verdict import Outcome, Verdict
from pytest_diffopt.records import Concern, Environment, Subject


def missing(concern: Concern, subject: Subject, *, figure: str, environment: Environment, rerun: str) -> Verdict:
    """Return the verdict when no baseline has been accepted yet: it fails, because nothing is guarded.

    Args:
        concern: what was judged.
        subject: what was watched.
        figure: the measured figure, which would become the baseline.
        environment: the machine on which it was measured.
        rerun: the command that runs this test again, without `--diffopt-update`.
    """
    return Verdict(
        concern=concern,
        outcome=Outcome.MISSING,
        subject=subject,
        summary=f"{figure}, no baseline",
        explanation=explain(
            f"no {concern} baseline has been accepted: {figure}",
            seen=f"on {environment.device_name}, {subject}",
            hint=f"to accept it: {rerun} --diffopt-update missing",
        ),
    )


def incomparable(concern: Concern, subject: Subject, *, rows: tuple[tuple[str, str], ...], rerun: str) -> Verdict:
    """Return the verdict when the baseline was made under different conditions.

    Args:
        concern: what was judged.
        subject: what was watched.
        rows: the differences, as `what_differs` returns them.
        rerun: the command that runs this test again, without `--diffopt-update`.
    """
    names = ", ".join(name for name, _ in rows)
    return Verdict(
        concern=concern,
        outcome=Outcome.INCOMPARABLE,
        subject=subject,
        summary=f"baseline of a different {names}",
        explanation=explain(
            f"the {concern} baseline was made with a different {names}: nothing was compared",
            facts=in_columns(rows),
            hint=f"to replace it: {rerun} --diffopt-update all",
        ),
    )


def what_differs(subject: Subject, environment: Environment, baseline: Baseline) -> tuple[tuple[str, str], ...]:
    """Return the differences that rule out a comparison: rows of a name and `<now>, accepted with <then>`."""
    now = {
        "pipeline": subject.pipeline,
        "scale": subject.scale,
        "recipe": subject.recipe,
        "weights": str(subject.weights),
        "device": str(subject.device),
        "device name": environment.device_name,
    }
    then = {
        "pipeline": baseline.subject.pipeline,
        "scale": baseline.subject.scale,
        "recipe": baseline.subject.recipe,
        "weights": str(baseline.subject.weights),
        "device": str(baseline.subject.device),
        "device name": baseline.environment.device_name,
    }
    return changes(now, then)


def version_differences(environment: Environment, baseline: Baseline) -> tuple[str, ...]:
    """Return the versions that differ, a line each. They may explain a change but never excuse it."""
    return in_columns(changes(environment.versions, baseline.environment.versions))


def changes(now: Mapping[str, str], then: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return the names whose text changed, in order, each with both texts."""
    names = sorted(
        now.keys() | then.keys(), key=lambda name: (list(now).index(name) if name in now else len(now), name)
    )
    return tuple(
        (name, f"{now.get(name) or 'none'}, accepted with {then.get(name) or 'none'}")
        for name in names
        if (now.get(name) or "none") != (then.get(name) or "none")
    )
