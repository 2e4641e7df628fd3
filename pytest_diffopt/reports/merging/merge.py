"""Merge the reports of several shards into a new folder."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from pytest_diffopt.guards.failure_text import counted
from pytest_diffopt.reports.document import Report
from pytest_diffopt.reports.github_summary import COMMENT_LIMIT_BYTES, render, write_summary_file
from pytest_diffopt.reports.json_report import invalid_figures_refused
from pytest_diffopt.reports.merging.combining import Expectations, combine
from pytest_diffopt.reports.merging.image_files import with_images
from pytest_diffopt.reports.merging.new_folder import new_folder
from pytest_diffopt.reports.merging.sources import Source, read_sources
from pytest_diffopt.reports.order import worst_first
from pytest_diffopt.reports.page.rendering import FILE_NAME as PAGE_NAME
from pytest_diffopt.reports.shards import version_differences
from pytest_diffopt.reports.summary import summary_of
from pytest_diffopt.reports.terminal import table_lines, total_line
from pytest_diffopt.reports.writing import write_report
from pytest_diffopt.session.ledger import Ledger
from pytest_diffopt.session.required_verdicts import parse_requirements

#: The name of the summary in the folder; its size is that of a comment.
SUMMARY_NAME = "summary.md"


def merge(folders: Sequence[Path], into: Path, *, num_shards: int | None, required: str | None) -> Report:
    """Merge reports into a new folder.

    Args:
        folders: the folders of the reports.
        into: the folder of the merged report.
        num_shards: the expected number of reports; None to accept any.
        required: the required verdicts, such as `gpu>=20, latency>=3`; None without requirements.

    Returns:
        The merged report.

    Raises:
        DiffoptError: a report cannot be read or merged with the others, or the folder cannot be written.
    """
    requirements = parse_requirements(required, option="--require") if required is not None else ()
    sources = read_sources(folders)
    report = combine(sources, Expectations(num_shards=num_shards, requirements=requirements))
    with new_folder(into, sources=folders) as folder:
        _write(folder, report, sources)
    return report


def _write(folder: Path, report: Report, sources: Sequence[Source]) -> None:
    """Write `report.json`, `index.html`, the images and `summary.md` into an existing folder."""
    with invalid_figures_refused(" + ".join(str(source.folder) for source in sources)):
        write_report(folder, with_images(report, sources, folder))
        text = render(summary_of(report), limit_bytes=COMMENT_LIMIT_BYTES)
    write_summary_file(folder / SUMMARY_NAME, text)


def conclusion(report: Report, folder: Path) -> Iterator[str]:
    """Yield the lines for the terminal: failures, totals, unmet requirements, version differences and the page."""
    yield from _failures(report)
    yield f"{counted(len(report.shards), 'shard')} merged, {total_line(Ledger(entries=report.verdicts))}"
    for unmet_requirement in report.unmet_requirements:
        yield f"not proven: {unmet_requirement.text}"
    for line in version_differences(report.shards):
        yield f"versions differ: {line}"
    yield str(folder / PAGE_NAME)


def _failures(report: Report) -> Iterator[str]:
    """Yield one line for each failed verdict with its GPU, and for each broken test with its shard."""
    gpus = report.gpus()
    failed = worst_first(entry for entry in report.verdicts if entry.verdict.is_failure)
    for entry, line in zip(failed, table_lines(failed), strict=True):
        yield "  ".join(filter(None, [line, gpus[entry.shard]]))
    for test in report.broken:
        yield f"failed without a verdict: {test.nodeid} ({test.shard}): {test.reason}"
