"""What a summary is made from: the ledger of a session that ends, or a report that was written."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pytest_diffopt.baselines.since_revision import BaselineComparison
from pytest_diffopt.reports.document import Report
from pytest_diffopt.reports.shards import differences, where
from pytest_diffopt.session.ledger import Ledger
from pytest_diffopt.session.unmet_requirements import UnmetRequirement


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """One of the sessions that were merged.

    Attributes:
        name: of its shard.
        device: where it ran.
        num_verdicts: how many it gave.
        num_red: how many of them fail a test.
        num_broken: how many tests failed without a verdict.
        num_skipped: how many tests proved nothing.
    """

    name: str
    device: str
    num_verdicts: int
    num_red: int
    num_broken: int
    num_skipped: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """What a summary is made from.

    Attributes:
        ledger: the verdicts.
        unmet_requirements: what was not proven.
        setting: on what the session ran, in one line.
        baselines: what the change did to the baselines; None where nothing says what it started from.
        gpus: where each shard of a merged report ran, by its name; empty texts where one GPU is all there is.
        sessions: those that were merged; empty for a single one.
        differences: the versions that were not the same in all of them.
        page: where the report's page can be opened; empty where that is not known.
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
        """Whether a reader must be told which GPU a test ran on."""
        return any(self.gpus.values())

    def gpu(self, shard: str) -> str:
        """Return which GPU a shard ran on, where that must be told."""
        return self.gpus.get(shard, "")


def summary_of(report: Report, *, page: str = "") -> Summary:
    """Make the summary of a report that was written.

    Args:
        report: of one session, or of several that were merged.
        page: where its page can be opened.
    """
    ledger = Ledger(
        entries=report.verdicts,
        cases={f"{case.shard} {case.nodeid}": case for case in report.skipped},
        broken=report.broken,
    )
    return Summary(
        ledger=ledger,
        unmet_requirements=report.unmet_requirements,
        setting=where(report.shards),
        baselines=report.baselines or None,
        gpus=report.gpus(),
        sessions=_sessions(report) if len(report.shards) > 1 else (),
        differences=list(differences(report.shards)),
        page=page,
    )


def _sessions(report: Report) -> list[Session]:
    verdicts = Counter(entry.shard for entry in report.verdicts)
    red = Counter(entry.shard for entry in report.verdicts if entry.verdict.is_failure)
    broken = Counter(test.shard for test in report.broken)
    skipped = Counter(case.shard for case in report.skipped)
    return [
        Session(
            name=shard.name,
            device=shard.environment.device,
            num_verdicts=verdicts[shard.name],
            num_red=red[shard.name],
            num_broken=broken[shard.name],
            num_skipped=skipped[shard.name],
        )
        for shard in report.shards
    ]
