"""The document that a report is: what `report.json` holds, and all that the page is made from."""

from collections.abc import Sequence
from typing import Any

import msgspec

from pytest_diffopt.completeness.shortfalls import Shortfall
from pytest_diffopt.environment import capture_environment
from pytest_diffopt.guards.verdict import UNPROVEN, Outcome
from pytest_diffopt.ledger import BrokenTest, CaseResult, Ledger, LedgerEntry
from pytest_diffopt.options import Settings
from pytest_diffopt.pipelines.scale import Scale
from pytest_diffopt.records import Device
from pytest_diffopt.reports.calibration import calibrations

SCHEMA_VERSION = 1


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


class Report(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that a session found.

    Attributes:
        schema_version: of this document.
        environment: where it was found.
        scale: how large named pipelines were built where a marker did not say.
        counts: how many verdicts there are of each outcome.
        verdicts: every verdict with its test and its record, in the order in which tests reported them.
        shortfalls: what the run did not prove although it may look green.
        broken: the tests that failed without a verdict that says why.
        skipped: the tests that proved nothing, and have no verdict that says why.
    """

    schema_version: int
    environment: ReportedEnvironment
    scale: Scale
    counts: dict[Outcome, int]
    verdicts: list[LedgerEntry]
    shortfalls: list[Shortfall]
    broken: list[BrokenTest]
    skipped: list[CaseResult]


def report_of(ledger: Ledger, settings: Settings, shortfalls: Sequence[Shortfall] = ()) -> Report:
    """Put a session's findings together.

    Args:
        ledger: what was found.
        settings: what the user asked for.
        shortfalls: what was not proven.
    """
    environment = capture_environment(Device.CUDA if settings.use_gpu else Device.CPU)
    return Report(
        schema_version=SCHEMA_VERSION,
        environment=ReportedEnvironment(
            device=environment.device_name,
            device_slug=environment.device_slug,
            versions=dict(environment.versions),
            calibration=_calibration(ledger),
        ),
        scale=settings.scale,
        counts=dict(ledger.counts()),
        verdicts=ledger.entries,
        shortfalls=list(shortfalls),
        broken=ledger.broken,
        skipped=_skipped(ledger),
    )


def _skipped(ledger: Ledger) -> list[CaseResult]:
    explained = {entry.nodeid for entry in ledger.entries if entry.verdict.outcome in UNPROVEN}
    return [case for case in ledger.skipped() if case.nodeid not in explained]


def _calibration(ledger: Ledger) -> Any:
    """Return what the paired gate can see on this machine, where this run found that out."""
    found = {entry.nodeid: dict(entry.verdict.figures) for entry in calibrations(ledger.entries)}
    return found or msgspec.UNSET
