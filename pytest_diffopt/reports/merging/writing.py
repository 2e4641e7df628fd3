"""The folder of a merged report, and what the terminal says of it."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from pytest_diffopt.guards.failure_text import counted
from pytest_diffopt.reports.document import Report
from pytest_diffopt.reports.github_summary import COMMENT_LIMIT_BYTES, render, write_summary_file
from pytest_diffopt.reports.json_report import only_sense
from pytest_diffopt.reports.merging.image_files import with_images
from pytest_diffopt.reports.merging.sources import Source
from pytest_diffopt.reports.order import worst_first
from pytest_diffopt.reports.page.rendering import FILE_NAME as PAGE_NAME
from pytest_diffopt.reports.shards import differences
from pytest_diffopt.reports.summary import summary_of
from pytest_diffopt.reports.terminal import table_lines, total_line
from pytest_diffopt.reports.writing import write_report
from pytest_diffopt.session.ledger import Ledger

#: Beside the page; a comment may have no more.
SUMMARY_NAME = "summary.md"


def write_merged(folder: Path, report: Report, sources: Sequence[Source]) -> None:
    """Write `report.json`, `index.html`, the images and `summary.md` into a folder that is there.

    Args:
        folder: where.
        report: of all shards.
        sources: the shards, from which the images come.

    Raises:
        ReportError: an image is not there, or a figure makes no sense.
        DiffoptError: something cannot be written.
    """
    with only_sense(" + ".join(str(source.folder) for source in sources)):
        write_report(folder, with_images(report, sources, folder))
        text = render(summary_of(report), limit_bytes=COMMENT_LIMIT_BYTES)
    write_summary_file(folder / SUMMARY_NAME, text)


def conclusion(report: Report, folder: Path) -> Iterator[str]:
    """Yield what the terminal says: all that is red, what was not proven or not the same, and where the page is."""
    yield from _red(report)
    yield f"{counted(len(report.shards), 'shard')} merged, {total_line(Ledger(entries=report.verdicts))}"
    for unmet_requirement in report.unmet_requirements:
        yield f"not proven: {unmet_requirement.text}"
    for line in differences(report.shards):
        yield f"not the same everywhere: {line}"
    yield str(folder / PAGE_NAME)


def _red(report: Report) -> Iterator[str]:
    """Yield a line for each bad verdict, and for each test that failed without one, with its GPU or shard."""
    gpus = report.gpus()
    red = worst_first(entry for entry in report.verdicts if entry.verdict.is_failure)
    for entry, line in zip(red, table_lines(red), strict=True):
        yield "  ".join(filter(None, [line, gpus[entry.shard]]))
    for test in report.broken:
        yield f"failed without a verdict: {test.nodeid} ({test.shard}): {test.reason}"
