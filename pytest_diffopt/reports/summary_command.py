"""The command line of `python -m pytest_diffopt summary`."""

import argparse
import re
import sys
from pathlib import Path
from typing import Any

# A URL without any character that could end it in Markdown or HTML, and without a fragment, which is added later.
_URL = re.compile(r"https?://[^\s<>\"'`|\\^{}\[\]()#]+")
_DESCRIPTION = """
Print the summary of a report in Markdown, for the page of a GitHub Actions run. With --page, each check links to its
part of the report's page, which shows its images: GitHub's Markdown cannot show images of an artifact.
"""


def add_to(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add this command to the command line of the package."""
    parser = commands.add_parser("summary", help="print the summary of a report", description=_DESCRIPTION)
    parser.set_defaults(run=run)
    parser.add_argument("folder", type=Path, help="the folder that --diffopt-report or merge wrote")
    parser.add_argument("--page", type=report_url, default="", metavar="URL", help="the URL of its index.html")


def run(options: argparse.Namespace) -> None:
    """Print the summary.

    Raises:
        ReportError: the report cannot be read or is invalid.
    """
    from pytest_diffopt.reports.github_summary import render_folder  # noqa: PLC0415 - --help needs no msgspec

    sys.stdout.write(render_folder(options.folder, page=options.page))


def report_url(text: str) -> str:
    """Return the URL of a report for a link, or an empty text.

    Raises:
        ArgumentTypeError: the text is not a URL, or has a character that could end the link.
    """
    if text and not _URL.fullmatch(text):
        msg = f"must be a whole https URL without #, got: {text}"
        raise argparse.ArgumentTypeError(msg)
    return text
