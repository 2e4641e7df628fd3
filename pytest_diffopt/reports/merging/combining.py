"""Combine the findings of several shards into one report; a shard that proved nothing fails it."""

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

_Finding = TypeVar("_Finding", LedgerEntry, BrokenTest, CaseResult)


@dataclass(frozen=True, kw_only=True, slots=True)
class Expectations:
    """The conditions under which the merged report passes.

    Attributes:
        num_shards: the expected number of shards; None to accept any.
        requirements: the required numbers of verdicts, over all shards.
    """

    num_shards: int | None = None
    requirements: tuple[Requirement, ...] = ()


def combine(sources: Sequence[Source], expectations: Expectations) -> Report:
    """Combine the findings of all shards into one report, in the order of the shards."""
    verdicts = [of_shard(entry, source) for source in sources for entry in source.report.verdicts]
    counts = Counter(entry.verdict.outcome for entry in verdicts)
    return Report(
        schema_version=SCHEMA_VERSION,
        shards=[msgspec.structs.replace(source.session, name=source.name) for source in sources],
        counts=dict(counts),
        verdicts=verdicts,
        unmet_requirements=sorted(
            _unmet_requirements(sources, verdicts, expectations),
            key=lambda unmet_requirement: not unmet_requirement.is_failure,
        ),
        broken=[of_shard(test, source) for source in sources for test in source.report.broken],
        skipped=[of_shard(case, source) for source in sources for case in source.report.skipped],
        baselines=_baselines([source.report.baselines for source in sources if source.report.baselines]),
    )


def of_shard(finding: _Finding, source: Source) -> _Finding:
    """Return a finding with the name of its shard."""
    return replace(finding, shard=source.name)


def _baselines(comparisons: Sequence[BaselineComparison]) -> BaselineComparison | msgspec.UnsetType:
    """Combine the comparisons of the shards; those that failed, as in a shallow clone, are used only if all did."""
    if not comparisons:
        return msgspec.UNSET
    seen = [one for one in comparisons if not one.problem] or comparisons[:1]
    changes = {change.path: change for one in reversed(seen) for change in one.changes}
    ordered = sorted(changes.values(), key=lambda change: (list(ChangeKind).index(change.kind), change.path))
    return replace(seen[0], changes=tuple(ordered))


def _unmet_requirements(
    sources: Sequence[Source], verdicts: list[LedgerEntry], expectations: Expectations
) -> Iterator[UnmetRequirement]:
    if expectations.num_shards is not None and expectations.num_shards != len(sources):
        names = ", ".join(source.name for source in sources)
        text = f"--expect asks for {counted(expectations.num_shards, 'shard')}, got: {len(sources)} ({names})"
        yield UnmetRequirement(text=text, is_failure=True)
    yield from unmet(expectations.requirements, Ledger(entries=verdicts), option="--require")
    yield from chain.from_iterable(map(_of_one, sources))


def _of_one(source: Source) -> Iterator[UnmetRequirement]:
    """Yield the unmet requirements of one shard; a shard without a decided verdict fails, whatever others proved."""
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
