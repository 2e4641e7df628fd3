"""The cases of a report in the order in which a person should look at them."""

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pytest_diffopt.guards.verdict import FigureChange, Verdict
from pytest_diffopt.ledger import LedgerEntry
from pytest_diffopt.records import Concern, Record
from pytest_diffopt.reports.order import rank
from pytest_diffopt.reports.recorded import record_of

_PREFIX = "diffopt: "
#: A wrong picture is worse than a slow one, and a cause stands before what it causes.
_BY_CONCERN = (
    Concern.IMAGES,
    Concern.NUMERICS,
    Concern.REPEATABILITY,
    Concern.APPLIED,
    Concern.SYNCS,
    Concern.GRAPH_BREAKS,
    Concern.RECOMPILES,
    Concern.LATENCY,
    Concern.MEMORY,
    Concern.COUNTS,
    Concern.COMPILATION,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One verdict as the page shows it.

    Attributes:
        anchor: what links to it name it by.
        nodeid: the test.
        verdict: what the guard said.
        record: what was seen.
    """

    anchor: str
    nodeid: str
    verdict: Verdict
    record: Record

    @property
    def pipeline(self) -> str:
        """The pipeline and its scale, as tables name them."""
        return pipeline_of(self.verdict)

    @property
    def headline(self) -> str:
        """What the verdict says in one line."""
        lines = self.verdict.explanation
        return lines[0].removeprefix(_PREFIX) if lines else self.verdict.summary

    @property
    def facts(self) -> tuple[str, ...]:
        """What it says besides."""
        return self.verdict.explanation[1:]

    @property
    def first_fact(self) -> str:
        """The fact that matters most; empty where there is none."""
        return next((" ".join(line.split()) for line in self.facts[:1] if line.startswith(" ")), "")

    @property
    def changes(self) -> tuple[FigureChange, ...]:
        """The figures that are not what was accepted."""
        return self.verdict.changes

    @property
    def rerun(self) -> str:
        """The command that runs its test alone."""
        return f"pytest {shlex.quote(self.nodeid)}"

    @property
    def kind(self) -> str:
        """Which template shows its record."""
        return type(self.record).__name__


def pipeline_of(verdict: Verdict) -> str:
    """Name a pipeline and its scale."""
    scale = f" ({verdict.subject.scale})" if verdict.subject.scale else ""
    return verdict.subject.pipeline + scale


def _rank(entry: LedgerEntry) -> tuple[bool, int, int]:
    return *rank(entry), _BY_CONCERN.index(entry.verdict.concern)


def cases_of(entries: Iterable[LedgerEntry]) -> list[Case]:
    """Return the cases, the worst first, else in the order of the tests."""
    return [
        Case(anchor=f"case-{number}", nodeid=entry.nodeid, verdict=entry.verdict, record=record_of(entry))
        for number, entry in enumerate(sorted(entries, key=_rank), start=1)
    ]


def by_pipeline(cases: Sequence[Case]) -> dict[str, list[Case]]:
    """Put the cases of each pipeline together."""
    groups: dict[str, list[Case]] = {}
    for case in cases:
        groups.setdefault(case.pipeline, []).append(case)
    return groups
