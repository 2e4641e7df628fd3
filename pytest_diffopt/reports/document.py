"""The report as a data structure: the content of `report.json`, and the only input of the page."""

from collections.abc import Sequence
from typing import Any

import msgspec

from pytest_diffopt.baselines.since_revision import BaselineComparison
from pytest_diffopt.environment import capture_environment
from pytest_diffopt.guards.verdict import UNPROVEN, Outcome
from pytest_diffopt.pipelines.scale import Scale
from pytest_diffopt.reports.calibration import calibrations
from pytest_diffopt.session.device import device_of
from pytest_diffopt.session.ledger import BrokenTest, CaseResult, Ledger, LedgerEntry
from pytest_diffopt.session.settings import Settings
from pytest_diffopt.session.unmet_requirements import UnmetRequirement

SCHEMA_VERSION = 3


class ReportedEnvironment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The machine and the versions that a session ran with.

    Attributes:
        device: the name that the device reports.
        device_slug: the folder of its baselines.
        versions: distribution name to version.
        calibration: figures of each calibration of the paired gate, by the node ID of its test; absent without one.
    """

    device: str
    device_slug: str
    versions: dict[str, str]
    calibration: dict[str, dict[str, float]] | msgspec.UnsetType = msgspec.UNSET


class Shard(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One session of a report.

    Attributes:
        name: the name by which its verdicts refer to it; empty in a report of one session.
        environment: the machine and versions of the session.
        scale: the default scale of named pipelines; a marker can override it.
    """

    name: str
    environment: ReportedEnvironment
    scale: Scale


class Report(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The findings of one session, or of several merged sessions.

    Attributes:
        schema_version: version of this document.
        shards: the sessions.
        counts: number of verdicts of each outcome.
        verdicts: every verdict with its test and its record, in the order in which tests reported them.
        unmet_requirements: requirements that the run did not prove.
        broken: tests that failed without a failing verdict.
        skipped: tests that proved nothing and have no verdict of that outcome.
        baselines: changes of the baselines since the base revision; absent if no base revision is known.
    """

    schema_version: int
    shards: list[Shard]
    counts: dict[Outcome, int]
    verdicts: list[LedgerEntry]
    unmet_requirements: list[UnmetRequirement]
    broken: list[BrokenTest]
    skipped: list[CaseResult]
    baselines: BaselineComparison | msgspec.UnsetType = msgspec.UNSET

    def gpus(self) -> dict[str, str]:
        """Return the device of each shard, by the shard's name; empty strings if all shards ran on one device.

        Reports show it to distinguish the same case on several GPUs.
        """
        devices = {shard.name: shard.environment.device for shard in self.shards}
        return devices if len(set(devices.values())) > 1 else dict.fromkeys(devices, "")

    def is_failure(self) -> bool:
        """Return whether a finding in this report fails the run."""
        is_bad = any(entry.verdict.is_failure for entry in self.verdicts)
        return (
            is_bad
            or bool(self.broken)
            or any(unmet_requirement.is_failure for unmet_requirement in self.unmet_requirements)
        )


def report_of(
    ledger: Ledger,
    settings: Settings,
    unmet_requirements: Sequence[UnmetRequirement] = (),
    baselines: BaselineComparison | None = None,
) -> Report:
    """Build the report of a session.

    Args:
        ledger: the findings of the session.
        settings: the session's settings.
        unmet_requirements: requirements that the run did not prove.
        baselines: changes of the baselines; None if no base revision is known.
    """
    environment = capture_environment(device_of(settings))
    return Report(
        schema_version=SCHEMA_VERSION,
        shards=[
            Shard(
                name="",
                environment=ReportedEnvironment(
                    device=environment.device_name,
                    device_slug=environment.device_slug,
                    versions=dict(environment.versions),
                    calibration=_calibration(ledger),
                ),
                scale=settings.scale,
            )
        ],
        counts=dict(ledger.counts()),
        verdicts=ledger.entries,
        unmet_requirements=list(unmet_requirements),
        broken=ledger.broken,
        skipped=_skipped(ledger),
        baselines=baselines or msgspec.UNSET,
    )


def _skipped(ledger: Ledger) -> list[CaseResult]:
    explained = {entry.nodeid for entry in ledger.entries if entry.verdict.outcome in UNPROVEN}
    return [case for case in ledger.skipped() if case.nodeid not in explained]


def _calibration(ledger: Ledger) -> Any:
    """Return the figures of each calibration, or UNSET if this run has none."""
    found = {entry.nodeid: dict(entry.verdict.figures) for entry in calibrations(ledger.entries)}
    return found or msgspec.UNSET
