"""Write a report's folder: the document first, so that it exists even if the page cannot be written."""

from pathlib import Path

from pytest_diffopt.reports.document import Report
from pytest_diffopt.reports.json_report import write_json_report
from pytest_diffopt.reports.page.rendering import write_page


def write_report(folder: Path, report: Report) -> None:
    """Write `report.json` and `index.html` into an existing folder.

    Raises:
        ReportError: a file cannot be written.
    """
    write_json_report(folder, report)
    write_page(folder, report)
