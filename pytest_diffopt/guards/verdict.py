"""The verdict of a guard on a record."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from pytest_diffopt.records import Concern, Subject


class Outcome(StrEnum):
    """How a record compares with what is allowed or was accepted."""

    PASSED = "passed"
    REGRESSED = "regressed"
    IMPROVED = "improved"
    MISSING = "missing"
    UNWATCHED = "unwatched"
    INCOMPARABLE = "incomparable"
    INCONCLUSIVE = "inconclusive"


_FAILED = frozenset({Outcome.REGRESSED, Outcome.MISSING, Outcome.UNWATCHED})
# These figures have no noise. A gain that is not accepted could be lost again unnoticed, so it fails too.
_EXACT = frozenset({Concern.COUNTS, Concern.KERNELS, Concern.COMPILATION})
#: A test with one of these verdicts is skipped with its reason: nothing was proven, so it must not pass.
UNPROVEN = frozenset({Outcome.INCOMPARABLE, Outcome.INCONCLUSIVE})


@dataclass(frozen=True, kw_only=True, slots=True)
class FigureChange:
    """One figure that differs from the accepted one.

    Attributes:
        where: what was measured: a phase, a module, a compiled function, or the call.
        figure: the figure's name, with its unit.
        before: the accepted value.
        after: the value now.
    """

    where: str
    figure: str
    before: int
    after: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """The verdict of a guard on one record.

    Attributes:
        concern: what was judged.
        outcome: the outcome.
        subject: what was watched.
        summary: the main figure, in one line for tables.
        explanation: the lines of the failure text, the headline first; empty when the outcome is `PASSED`.
        figures: machine-readable numbers, with units in their names.
        changes: each figure that differs from the accepted one, where a baseline was compared figure by figure.
        environment_changes: the versions that differ from the baseline's, a line each, also when it passed.
    """

    concern: Concern
    outcome: Outcome
    subject: Subject
    summary: str
    explanation: tuple[str, ...] = ()
    figures: Mapping[str, float] = field(default_factory=dict)
    changes: tuple[FigureChange, ...] = ()
    environment_changes: tuple[str, ...] = ()

    @property
    def is_failure(self) -> bool:
        """Whether the test fails: a regression, no accepted baseline, or a gain in exact figures not yet accepted."""
        return self.outcome in _FAILED or (self.outcome is Outcome.IMPROVED and self.concern in _EXACT)
