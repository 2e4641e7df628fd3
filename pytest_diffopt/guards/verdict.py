"""What a guard says of a record."""

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
    INCOMPARABLE = "incomparable"
    INCONCLUSIVE = "inconclusive"


_RED = frozenset({Outcome.REGRESSED, Outcome.MISSING})
# Nothing is noisy about them: a gain that nobody accepts can be lost again unseen.
_EXACT = frozenset({Concern.COUNTS, Concern.COMPILATION})
#: A test with one of these verdicts is skipped with its reason: nothing was proven, and that must not look green.
UNPROVEN = frozenset({Outcome.INCOMPARABLE, Outcome.INCONCLUSIVE})


@dataclass(frozen=True, kw_only=True, slots=True)
class FigureChange:
    """One figure that is not what was accepted.

    Attributes:
        where: of what it is the figure: a phase, a module, a compiled function, or the call.
        figure: its name, with its unit.
        before: what was accepted.
        after: what it is now.
    """

    where: str
    figure: str
    before: int
    after: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What a guard says of one record.

    Attributes:
        concern: what was judged.
        outcome: the judgement.
        subject: what was watched.
        summary: the figure that matters, in one line for tables.
        explanation: the lines that a person needs when it is not `PASSED`, the headline first; empty otherwise.
        figures: numbers for machines, units in their names.
        changes: each figure that differs from the accepted one, where a baseline was compared figure by figure.
        environment_changes: the versions that are not those of the baseline, a line each, also when it passed.
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
        return self.outcome in _RED or (self.outcome is Outcome.IMPROVED and self.concern in _EXACT)
