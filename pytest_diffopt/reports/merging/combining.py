"""What several sessions found, as one report; a shard that proved nothing is not lost among those that did."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TypeVar

import msgspec

from pytest_diffopt.baselines.limit_changes import ChangeKind
from pytest_diffopt.baselines.since_revision import BaselineComparison
from pytest_diffopt.guards.failure_text import counted
from pytest_diffopt.guards.verdict import UNPROVEN
from pytest_diffopt.reports.document import SCHEMA_VERSION, Report
from pytest_diffopt.reports.merging.sources import Source
from pytest_diffopt.session.ledger import BrokenTest, CaseResult, Ledger, LedgerEntry
from pytest_diffopt.session.required_verdicts import Requirement
from pytest_diffopt.session.unmet_requirements import UnmetRequirement, reasons_of, unmet

_Found = TypeVar("_Found", LedgerEntry, BrokenTest, CaseResult)


@dataclass(frozen=True, kw_only=True, slots=True)
class Demands:
    """What the shards must have come to before they may be green together.

    Attributes:
        num_shards: how many there must be; None where nobody said.
        requirements: how many verdicts of which kind they must have given.
    """

    num_shards: int | None = None
    requirements: tuple[Requirement, ...] = ()


def together(sources: Sequence[Source], demands: Demands) -> Report:
    """Put the findings of all shards into one report, in the order in which they were named."""
    verdicts = [of_shard(entry, source) for source in sources for entry in source.report.verdicts]
    counts = Counter(entry.verdict.outcome for entry in verdicts)
    return Report(
        schema_version=SCHEMA_VERSION,
        shards=[msgspec.structs.replace(source.session, name=source.name) for source in sources],
        counts=dict(counts),
        verdicts=verdicts,
        unmet_requirements=sorted(
            _unmet_requirements(sources, verdicts, demands),
            key=lambda unmet_requirement: not unmet_requirement.is_failure,
        ),
        broken=[of_shard(test, source) for source in sources for test in source.report.broken],
        skipped=[of_shard(case, source) for source in sources for case in source.report.skipped],
        baselines=_baselines([source.report.baselines for source in sources if source.report.baselines]),
    )


def of_shard(found: _Found, source: Source) -> _Found:
    """Return what a shard found with the shard's name in it."""
    return replace(found, shard=source.name)


def _baselines(comparisons: Sequence[BaselineComparison]) -> BaselineComparison | msgspec.UnsetType:
    """Put together what each shard saw of the same change; one with a shallow clone saw nothing of it."""
    if not comparisons:
        return msgspec.UNSET
    seen = [one for one in comparisons if not one.problem] or comparisons[:1]
    changes = {change.path: change for one in reversed(seen) for change in one.changes}
    ordered = sorted(changes.values(), key=lambda change: (list(ChangeKind).index(change.kind), change.path))
    return replace(seen[0], changes=tuple(ordered))


def _unmet_requirements(
    sources: Sequence[Source], verdicts: list[LedgerEntry], demands: Demands
) -> Iterator[UnmetRequirement]:
    if demands.num_shards is not None and demands.num_shards != len(sources):
        names = ", ".join(source.name for source in sources)
        text = f"--expect asks for {counted(demands.num_shards, 'shard')}, got: {len(sources)} ({names})"
        yield UnmetRequirement(text=text, is_failure=True)
    yield from unmet(demands.requirements, Ledger(entries=verdicts), option="--require")
    yield from chain.from_iterable(map(_of_one, sources))


def _of_one(source: Source) -> Iterator[UnmetRequirement]:
    """Yield what one shard did not prove; one that decided nothing at all may not be green because others did."""
    if all(entry.verdict.outcome in UNPROVEN for entry in source.report.verdicts):
        yield UnmetRequirement(text=f"{source.name} proved nothing: {_why_nothing(source.report)}", is_failure=True)
    for unmet_requirement in source.report.unmet_requirements:
        yield UnmetRequirement(text=f"{source.name}: {unmet_requirement.text}", is_failure=unmet_requirement.is_failure)


def _why_nothing(report: Report) -> str:
    if report.verdicts:
        return f"{counted(len(report.verdicts), 'verdict')}, and none decided anything"
    if report.broken:
        return f"{counted(len(report.broken), 'test')} failed without a verdict"
    if report.skipped:
        reasons = "; ".join(reasons_of(case.skip_reason for case in report.skipped))
        return f"{counted(len(report.skipped), 'test')} skipped ({reasons})"
    return "no diffopt test was run"
