"""Compare a measured figure with the accepted one, and explain the outcome: what latency, memory and paired share."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pytest_diffopt.baselines.documents import Baseline
from pytest_diffopt.guards.baseline_comparison import version_differences
from pytest_diffopt.guards.failure_text import explain, percent
from pytest_diffopt.guards.verdict import Outcome, Verdict
from pytest_diffopt.records import Concern, Environment, Subject

#: What to do about a measurement that decides nothing.
MEASURE_LONGER = "measure longer: raise --diffopt-max-seconds"
_CHANGED = frozenset({Outcome.REGRESSED, Outcome.IMPROVED})


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """A measured figure and the accepted one; lower is better.

    Attributes:
        now: the measured figure.
        accepted: the accepted figure, in the same unit.
        tolerance: the difference that still passes, in the same unit.
    """

    now: float
    accepted: float
    tolerance: float

    @classmethod
    def within(cls, now: float, accepted: float, *, margin: float, floor: float) -> "Comparison":
        """Return a comparison that tolerates a relative margin or an absolute floor, whichever is larger.

        Args:
            now: the measured figure.
            accepted: the accepted figure.
            margin: as a fraction of the accepted figure.
            floor: in the unit of the figures.
        """
        return cls(now=now, accepted=accepted, tolerance=max(accepted * margin, floor))

    @property
    def outcome(self) -> Outcome:
        """`REGRESSED` or `IMPROVED` past the tolerance, else `PASSED`."""
        if self.now > self.limit:
            return Outcome.REGRESSED
        return Outcome.IMPROVED if self.now < self.accepted - self.tolerance else Outcome.PASSED

    @property
    def relative_change(self) -> float:
        """The change as a fraction of the accepted figure; positive when it grew."""
        return self.now / self.accepted - 1

    @property
    def limit(self) -> float:
        """The largest figure that passes."""
        return self.accepted + self.tolerance


def worst_outcome(comparisons: Sequence[Comparison]) -> Outcome:
    """Return `REGRESSED` if any figure regressed, else `IMPROVED` if any improved, else `PASSED`."""
    outcomes = {one.outcome for one in comparisons}
    return next((one for one in (Outcome.REGRESSED, Outcome.IMPROVED) if one in outcomes), Outcome.PASSED)


def is_change(outcome: Outcome) -> bool:
    """Return whether an outcome states that a figure changed."""
    return outcome in _CHANGED


def speed_change(outcome: Outcome, relative_change: float) -> str:
    """Write a change of a call's time: `the call became 5.0 % slower`.

    Args:
        outcome: `REGRESSED` or `IMPROVED`.
        relative_change: of the time, as a fraction.
    """
    if outcome is Outcome.REGRESSED:
        return f"the call became {percent(relative_change)} slower"
    return f"the call became {percent(-relative_change)} faster"


def allowed_difference(margin: float, floor: str) -> str:
    """Write what `Comparison.within` tolerates: `5.0 % or 1.00 ms allowed, whichever is larger`.

    Args:
        margin: as a fraction of the accepted figure.
        floor: the absolute floor with its unit.
    """
    return f"{percent(margin)} or {floor} allowed, whichever is larger"


def undecided(  # noqa: PLR0913 - one parameter for each part of the text
    concern: Concern,
    subject: Subject,
    headline: str,
    *,
    facts: Iterable[str] = (),
    seen: str,
    hint: str,
    summary: str = "",
) -> Verdict:
    """Return the inconclusive verdict of a measurement that cannot be judged.

    Args:
        concern: what was measured.
        subject: what was watched.
        headline: why it cannot be judged.
        facts: what was measured.
        seen: where it was measured, without the subject.
        hint: what to do.
        summary: one line for tables; the headline by default.
    """
    return Verdict(
        concern=concern,
        outcome=Outcome.INCONCLUSIVE,
        subject=subject,
        summary=summary or headline,
        explanation=explain(headline, facts=facts, seen=f"{seen}, {subject}", hint=hint),
    )


def accept_hint(outcome: Outcome, rerun: str) -> str:
    """Return what to do about an outcome: the command that accepts the change, or how to decide it.

    Args:
        outcome: the outcome.
        rerun: the command that runs this test again, without `--diffopt-update`.
    """
    if not is_change(outcome):
        return MEASURE_LONGER
    purpose = "to keep the gain" if outcome is Outcome.IMPROVED else "to accept this"
    return f"{purpose}: {rerun} --diffopt-update all"


@dataclass(frozen=True, kw_only=True, slots=True)
class BaselineContext:
    """What every explanation of a comparison with a baseline needs.

    Attributes:
        environment: the machine and versions now.
        baseline: what was accepted.
        rerun: the command that runs this test again, without `--diffopt-update`.
    """

    environment: Environment
    baseline: Baseline
    rerun: str

    @property
    def version_differences(self) -> tuple[str, ...]:
        """The versions that differ from the baseline's, a line each."""
        return version_differences(self.environment, self.baseline)

    def explain(self, outcome: Outcome, headline: str, facts: Iterable[str], *, seen: str) -> tuple[str, ...]:
        """Lay out the explanation of an outcome.

        Args:
            outcome: the outcome.
            headline: what is wrong, with the figure and what is allowed.
            facts: the figures.
            seen: where it was measured, with the subject.
        """
        hint = accept_hint(outcome, self.rerun)
        return explain(headline, facts, seen=seen, differences=self.version_differences, hint=hint)
