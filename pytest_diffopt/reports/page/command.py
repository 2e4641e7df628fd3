"""The command line of `python -m pytest_diffopt report`."""

import argparse
import sys
from pathlib import Path
from typing import Any

_DESCRIPTION = """
Read the report.json that --diffopt-report wrote into a folder, and write its index.html again, with the images that
lie beside it.
"""


def add_to(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add this command to those that the package knows."""
    parser = commands.add_parser("report", help="write the page of a report again", description=_DESCRIPTION)
    parser.set_defaults(run=run)
    parser.add_argument("folder", type=Path, help="the folder that --diffopt-report wrote")


def run(options: argparse.Namespace) -> None:
    """Write the page and say where it is.

    Raises:
        ReportError: there is no report that can be trusted, or the page cannot be written.
    """
    from pytest_diffopt.reports.json_report import only_sense, read_json_report  # noqa: PLC0415 - the other commands do without
    from pytest_diffopt.reports.page.rendering import write_page  # noqa: PLC0415 - as above

    report = read_json_report(options.folder)
    with only_sense(options.folder):
        path = write_page(options.folder, report)
    sys.stdout.write(f"{path}\n")
