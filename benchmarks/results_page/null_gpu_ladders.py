"""SDXL's ladders at full size on the null GPU: what each level launches, and the times that are estimated for it.

pytest suites/test_ladders.py -k "test_kernels and sdxl" --diffopt-null-gpu --diffopt-scale full --diffopt-report report
python -m benchmarks.results_page.null_gpu_ladders report

The second command keeps the tables of the report in `null_gpu_ladders.json`, from which the page of results is written.
Several reports, of sessions with some of the levels each, are read as one. Host times that a busy machine measured are
left out with `--without-host-times`.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from benchmarks.results_page.markdown import commands, table
from benchmarks.results_page.reading import FiguresError, Text, read_document
from pytest_diffopt.errors import DiffoptError
from pytest_diffopt.reports.document import Report
from pytest_diffopt.reports.json_report import FILE_NAME, read_json_report
from pytest_diffopt.reports.ladder_table import ladders
from pytest_diffopt.session.ledger import LedgerEntry

COUNTED = Path(__file__).with_name("null_gpu_ladders.json")
_NULL_GPU = "null "
_COMMANDS = (
    (
        'pytest suites/test_ladders.py -k "test_kernels and sdxl" --diffopt-null-gpu --diffopt-scale full '
        "--diffopt-report report"
    ),
    "python -m benchmarks.results_page.null_gpu_ladders report",
)
_NOTES = (
    "Launches are kernels and library calls of a late denoise step, counted exactly; peak memory is that of the call, "
    "without the weights and without what CUDA graphs keep in their own pool. The GPU's time is an "
    "[estimate](null-gpu.md#the-virtual-clock), a lower bound of the model, in which launches without an estimate "
    "count as 0, and no measurement of a GPU. "
)
_ABOUT_HOST_TIMES = {
    True: "Host time is wall-clock time of the machine's CPU.",
    False: "Host times are left out: the machine was busy with other work.",
}
_HOST_TIMES = ("host a step", "gap a step", "host time", "gap")
_PACKAGES = ("torch", "triton", "diffusers")
_CANNOT_WRITE = 2


class CountedLadder(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One ladder.

    Attributes:
        title: the ladder and the pipeline.
        table: the headings, and a row for each counted level.
    """

    title: Text
    table: Annotated[list[Annotated[list[str], Meta(min_length=1)]], Meta(min_length=2)]


class CountedLadders(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The ladders of a session.

    Attributes:
        device: the null GPU.
        date: the day of the session.
        versions: versions of the libraries.
        has_host_times: whether the tables have host times; they are left out if the machine was busy.
        ladders: the ladders with at least two counted levels.
    """

    device: Text
    date: Text
    versions: dict[str, str]
    has_host_times: bool
    ladders: Annotated[list[CountedLadder], Meta(min_length=1)]


def section_lines(counted: CountedLadders | None) -> Iterator[str]:
    """Yield the section of the page, without its title."""
    if counted is None:
        yield "Not counted yet:"
    else:
        versions = ", ".join(f"{name} {counted.versions[name]}" for name in _PACKAGES)
        yield f"Counted at full size on {counted.device} on {counted.date}, {versions}:"
    yield ""
    yield from commands(*_COMMANDS, why_not_run="takes minutes, and needs the null GPU")
    if counted is None:
        return
    yield ""
    yield _NOTES + _ABOUT_HOST_TIMES[counted.has_host_times]
    for one in counted.ladders:
        yield from ("", f"{one.title}:", "")
        yield from table(one.table[0], one.table[1:], num_texts=2)


def read_counted_ladders(path: Path = COUNTED) -> CountedLadders | None:
    """Read the file of the counted ladders; None if they were not counted yet.

    Raises:
        FiguresError: it cannot be read, or is invalid.
    """
    return read_document(path, CountedLadders) if path.exists() else None


def counted_ladders(folders: Sequence[Path], *, has_host_times: bool = True) -> CountedLadders:
    """Return the ladders of reports on one null GPU.

    Args:
        folders: the folders of the reports.
        has_host_times: whether the tables have host times.

    Raises:
        FiguresError: a report is of another device, or the reports differ, or have no ladder.
        ReportError: a report cannot be read.
    """
    reports = [read_json_report(folder) for folder in folders]
    environments = [shard.environment for report in reports for shard in report.shards]
    first = environments[0]
    if any(one.device != first.device or one.versions != first.versions for one in environments):
        msg = f"the reports must be of one device with the same versions: {', '.join(map(str, folders))}"
        raise FiguresError(msg)
    if not first.device.startswith(_NULL_GPU) or not all(name in first.versions for name in _PACKAGES):
        msg = f"the ladders must be counted on the null GPU, got: {first.device}"
        raise FiguresError(msg)
    hidden = () if has_host_times else _HOST_TIMES
    found = [CountedLadder(title=one.title, table=_without(one.table(), hidden)) for one in ladders(_entries(reports))]
    if not found:
        msg = f"no ladder has two levels in {', '.join(map(str, folders))}"
        raise FiguresError(msg)
    day = datetime.fromtimestamp(max((folder / FILE_NAME).stat().st_mtime for folder in folders), UTC).date()
    return CountedLadders(
        device=first.device, date=str(day), versions=first.versions, has_host_times=has_host_times, ladders=found
    )


def _without(table: list[list[str]], hidden: Sequence[str]) -> list[list[str]]:
    """Return a table without the columns of these headings."""
    shown = [column for column, heading in enumerate(table[0]) if heading not in hidden]
    return [[row[column] for column in shown] for row in table]


def _entries(reports: Sequence[Report]) -> list[LedgerEntry]:
    return [entry for report in reports for entry in report.verdicts]


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the file; the exit code is 2 if a report cannot be shown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reports", type=Path, nargs="+", metavar="REPORT", help="a folder written by --diffopt-report")
    parser.add_argument("--without-host-times", action="store_true", help="the machine was busy")
    parser.add_argument("--json", type=Path, default=COUNTED, metavar="FILE")
    options = parser.parse_args(arguments)
    try:
        counted = counted_ladders(options.reports, has_host_times=not options.without_host_times)
    except DiffoptError as error:
        print(f"null_gpu_ladders: {error}", file=sys.stderr)
        return _CANNOT_WRITE
    written = msgspec.json.format(msgspec.json.encode(counted), indent=2)
    options.json.write_bytes(written + b"\n")
    print(options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
