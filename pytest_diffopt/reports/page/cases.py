"""The cases of a page: one for each verdict, the most important first."""

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
    """One verdict of the page.

    Attributes:
        anchor: ID of its element, for links.
        nodeid: node ID of the test.
        verdict: the verdict.
        record: the record that was judged.
        gpu: the GPU, in a report of several GPUs; else empty.
    """

    anchor: str
    nodeid: str
    verdict: Verdict
    record: Record
    gpu: str = ""

    @property
    def pipeline(self) -> str:
        """The pipeline with its scale and, in a report of several GPUs, its GPU."""
        return ", ".join(filter(None, [pipeline_of(self.verdict), self.gpu]))

    @property
    def headline(self) -> str:
        """The first line of the explanation, or the summary if the verdict has no explanation."""
        lines = self.verdict.explanation
        return lines[0].removeprefix(_PREFIX) if lines else self.verdict.summary

    @property
    def facts(self) -> tuple[str, ...]:
        """The further lines of the explanation."""
        return self.verdict.explanation[1:]

    @property
    def first_fact(self) -> str:
        """The first fact of the explanation; empty without one."""
        return next((" ".join(line.split()) for line in self.facts[:1] if line.startswith(" ")), "")

    @property
    def changes(self) -> tuple[FigureChange, ...]:
        """The figures that differ from the accepted ones."""
        return self.verdict.changes

    @property
    def rerun(self) -> str:
        """The command that runs only this test."""
        return f"pytest {shlex.quote(self.nodeid)}"

    @property
    def kind(self) -> str:
        """The name of the record type, which is that of its template."""
        return type(self.record).__name__


def pipeline_of(verdict: Verdict) -> str:
    """Return the pipeline and its scale, as in `sdxl (tiny)`."""
    scale = f" ({verdict.subject.scale})" if verdict.subject.scale else ""
    return verdict.subject.pipeline + scale


def cases_of(entries: Iterable[LedgerEntry], gpus: Mapping[str, str]) -> list[Case]:
    """Return the cases, the most important first; ties keep the order of the tests.

    Args:
        entries: the verdicts.
        gpus: the GPU of each shard, by the shard's name; empty strings for a single GPU.
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
    """Group the cases by pipeline."""
    groups: dict[str, list[Case]] = {}
    for case in cases:
        groups.setdefault(case.pipeline, []).append(case)
    return groups
