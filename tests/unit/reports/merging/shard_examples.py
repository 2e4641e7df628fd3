"""Example reports of shards, for the tests of merging."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from pytest_diffopt.reports.merging.sources import Source
from pytest_diffopt.reports.writing import write_report
from pytest_diffopt.session.ledger import LedgerEntry
from tests.unit.reports.report_examples import report, shard


def source(
    name: str, entries: Sequence[LedgerEntry], *, device: str = "", torch: str = "2.13.0", **more: Any
) -> Source:
    """Return a shard with these findings; the default device is the upper-case name."""
    session = shard(device=device or name.upper(), torch=torch)
    found = msgspec.structs.replace(report(entries, **more), shards=[session])
    return Source(name=name, folder=Path(name), report=found)


def written(folder: Path, entries: Sequence[LedgerEntry], *, device: str = "", **more: Any) -> Path:
    """Write the report of a shard into a folder, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    write_report(folder, source(folder.name, entries, device=device, **more).report)
    return folder
