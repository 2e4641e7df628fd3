"""The command line of `python -m pytest_diffopt report`."""

import argparse
import sys
from pathlib import Path
from typing import Any

from pytest_diffopt.printable import printable_line

_DESCRIPTION = """
Read the report.json of a folder that --diffopt-report wrote, and write its index.html again, with the images in that
folder.
"""


def add_to(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add this command to the command line of the package."""
    parser = commands.add_parser("report", help="write the page of a report again", description=_DESCRIPTION)
    parser.set_defaults(run=run)
    parser.add_argument("folder", type=Path, help="the folder that --diffopt-report wrote")


def run(options: argparse.Namespace) -> None:
    """Write the page and print its path.

    Raises:
        ReportError: the report cannot be read or is invalid, or the page cannot be written.
    """
    from pytest_diffopt.reports.page.rendering import rewrite_page  # noqa: PLC0415 - --help needs no msgspec

    sys.stdout.write(f"{printable_line(str(rewrite_page(options.folder)))}\n")
