"""The input of the Markdown summary, built from a session's ledger or from a written report."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pytest_diffopt.baselines.since_revision import BaselineComparison
from pytest_diffopt.reports.document import Report
from pytest_diffopt.reports.shards import environment_line, version_differences
from pytest_diffopt.session.ledger import Ledger
from pytest_diffopt.session.unmet_requirements import UnmetRequirement


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """One session of a merged report.

    Attributes:
        name: name of its shard.
        device: name of its device.
        num_verdicts: number of its verdicts.
        num_failed: number of verdicts that fail a test.
        num_broken: number of tests that failed without a verdict.
        num_skipped: number of tests that proved nothing.
    """

    name: str
    device: str
    num_verdicts: int
    num_failed: int
    num_broken: int
    num_skipped: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """The input of the Markdown summary.

    Attributes:
        ledger: the verdicts, and broken and skipped tests.
        unmet_requirements: requirements that the run did not prove.
        setting: devices and versions, in one line.
        baselines: changes of the baselines; None if no base revision is known.
        gpus: GPU of each shard of a merged report, by the shard's name; empty strings if there is one GPU.
        sessions: the merged sessions; empty for a single session.
        differences: one line for each distribution whose version differs between the sessions.
        page: URL of the report's page; empty if unknown.
    """

    ledger: Ledger
    unmet_requirements: Sequence[UnmetRequirement]
    setting: str
    baselines: BaselineComparison | None
    gpus: Mapping[str, str] = field(default_factory=dict)
    sessions: Sequence[Session] = ()
    differences: Sequence[str] = ()
    page: str = ""

    @property
    def shows_gpus(self) -> bool:
        """Whether the summary shows the GPU of each test."""
        return any(self.gpus.values())

    def gpu(self, shard: str) -> str:
        """Return the GPU of a shard; empty if the summary does not show GPUs."""
        return self.gpus.get(shard, "")


def summary_of(report: Report, *, page: str = "") -> Summary:
    """Build the summary input from a report.

    Args:
        report: the report of one session or of several merged sessions.
        page: URL of the report's page; empty if unknown.
    """
    ledger = Ledger(
        entries=report.verdicts,
        cases={f"{case.shard} {case.nodeid}": case for case in report.skipped},
        broken=report.broken,
    )
    return Summary(
        ledger=ledger,
        unmet_requirements=report.unmet_requirements,
        setting=environment_line(report.shards),
        baselines=report.baselines or None,
        gpus=report.gpus(),
        sessions=_sessions(report) if len(report.shards) > 1 else (),
        differences=list(version_differences(report.shards)),
        page=page,
    )


def _sessions(report: Report) -> list[Session]:
    verdicts = Counter(entry.shard for entry in report.verdicts)
    failed = Counter(entry.shard for entry in report.verdicts if entry.verdict.is_failure)
    broken = Counter(test.shard for test in report.broken)
    skipped = Counter(case.shard for case in report.skipped)
    return [
        Session(
            name=shard.name,
            device=shard.environment.device,
            num_verdicts=verdicts[shard.name],
            num_failed=failed[shard.name],
            num_broken=broken[shard.name],
            num_skipped=skipped[shard.name],
        )
        for shard in report.shards
    ]
