"""The document that a report is: what `report.json` holds, and all that the page is made from."""

from collections.abc import Sequence
from typing import Any

import msgspec

from pytest_diffopt.baselines.since_revision import BaselineComparison
from pytest_diffopt.environment import capture_environment
from pytest_diffopt.guards.verdict import UNPROVEN, Outcome
from pytest_diffopt.pipelines.scale import Scale
from pytest_diffopt.records import Device
from pytest_diffopt.reports.calibration import calibrations
from pytest_diffopt.session.ledger import BrokenTest, CaseResult, Ledger, LedgerEntry
from pytest_diffopt.session.settings import Settings
from pytest_diffopt.session.unmet_requirements import UnmetRequirement

SCHEMA_VERSION = 2


class ReportedEnvironment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The machine and the versions that a session ran with.

    Attributes:
        device: what the device calls itself.
        device_slug: the folder of its baselines.
        versions: distribution name to version.
        calibration: what the paired gate can see on this machine, by the test that found it out; absent where none did.
    """

    device: str
    device_slug: str
    versions: dict[str, str]
    calibration: dict[str, dict[str, float]] | msgspec.UnsetType = msgspec.UNSET


class Shard(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One session of those that a report tells of.

    Attributes:
        name: what its verdicts name it by; empty where the report is of one session.
        environment: what it ran with.
        scale: how large named pipelines were built where a marker did not say.
    """

    name: str
    environment: ReportedEnvironment
    scale: Scale


class Report(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that a session found, or several that were merged.

    Attributes:
        schema_version: of this document.
        shards: the sessions.
        counts: how many verdicts there are of each outcome.
        verdicts: every verdict with its test and its record, in the order in which tests reported them.
        unmet_requirements: what the run did not prove although it may look green.
        broken: the tests that failed without a verdict that says why.
        skipped: the tests that proved nothing, and have no verdict that says why.
        baselines: what the change did to the baselines; absent where nothing says what it started from.
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
        """Return what a case is told by from the same case elsewhere: the device of each shard, by the shard's name.

        Empty texts where all ran on one device.
        """
        devices = {shard.name: shard.environment.device for shard in self.shards}
        return devices if len(set(devices.values())) > 1 else dict.fromkeys(devices, "")

    def is_failure(self) -> bool:
        """Tell whether anything in it fails a run."""
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
    """Put a session's findings together.

    Args:
        ledger: what was found.
        settings: what the user asked for.
        unmet_requirements: what was not proven.
        baselines: what the change did to the baselines; None where nothing says what it started from.
    """
    environment = capture_environment(Device.CUDA if settings.use_gpu else Device.CPU)
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
    """Return what the paired gate can see on this machine, where this run found that out."""
    found = {entry.nodeid: dict(entry.verdict.figures) for entry in calibrations(ledger.entries)}
    return found or msgspec.UNSET
