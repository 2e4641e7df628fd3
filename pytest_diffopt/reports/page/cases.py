"""The cases of a report in the order in which a person should look at them."""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pytest_diffopt.guards.verdict import FigureChange, Verdict
from pytest_diffopt.records import Record
from pytest_diffopt.reports.order import anchored
from pytest_diffopt.reports.recorded import record_of
from pytest_diffopt.session.ledger import LedgerEntry

_PREFIX = "diffopt: "


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One verdict as the page shows it.

    Attributes:
        anchor: what links to it name it by.
        nodeid: the test.
        verdict: what the guard said.
        record: what was seen.
        gpu: where, in a report of several GPUs; else empty.
    """

    anchor: str
    nodeid: str
    verdict: Verdict
    record: Record
    gpu: str = ""

    @property
    def pipeline(self) -> str:
        """The pipeline, its scale and, of several, its GPU, as tables name them."""
        return ", ".join(filter(None, [pipeline_of(self.verdict), self.gpu]))

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


def cases_of(entries: Iterable[LedgerEntry], gpus: Mapping[str, str]) -> list[Case]:
    """Return the cases, the worst first, else in the order of the tests.

    Args:
        entries: the verdicts.
        gpus: what tells the cases of each shard apart, by its name.
    """
    return [
        Case(
            anchor=anchor,
            nodeid=entry.nodeid,
            verdict=entry.verdict,
            record=record_of(entry),
            gpu=gpus[entry.shard],
        )
        for anchor, entry in anchored(entries)
    ]


def by_pipeline(cases: Sequence[Case]) -> dict[str, list[Case]]:
    """Put the cases of each pipeline together."""
    groups: dict[str, list[Case]] = {}
    for case in cases:
        groups.setdefault(case.pipeline, []).append(case)
    return groups
