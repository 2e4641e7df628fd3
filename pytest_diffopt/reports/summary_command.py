"""The command line of `python -m pytest_diffopt summary`."""

import argparse
import re
import sys
from pathlib import Path
from typing import Any

# What neither Markdown nor HTML can take for the end of the URL; the page's own anchors come after it.
_URL = re.compile(r"https?://[^\s<>\"'`|\\^{}\[\]()#]+")
_DESCRIPTION = """
Print the summary of a report in Markdown, for the page of a run of GitHub Actions. With --page each check is a link to
its part of the report's page, with its images: GitHub's Markdown shows no image that lies in an artefact.
"""


def add_to(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add this command to those that the package knows."""
    parser = commands.add_parser("summary", help="print the summary of a report", description=_DESCRIPTION)
    parser.set_defaults(run=run)
    parser.add_argument("folder", type=Path, help="the folder that --diffopt-report or merge wrote")
    parser.add_argument("--page", type=_url, default="", metavar="URL", help="where its index.html can be opened")


def run(options: argparse.Namespace) -> None:
    """Print the summary.

    Raises:
        ReportError: there is no report that can be trusted.
    """
    from pytest_diffopt.reports.github_summary import render  # noqa: PLC0415 - the other commands do without
    from pytest_diffopt.reports.json_report import only_sense, read_json_report  # noqa: PLC0415 - as above
    from pytest_diffopt.reports.summary import summary_of  # noqa: PLC0415 - as above

    report = read_json_report(options.folder)
    with only_sense(options.folder):
        text = render(summary_of(report, page=options.page))
    sys.stdout.write(text)


def _url(text: str) -> str:
    if text and not _URL.fullmatch(text):
        msg = f"must be a whole https URL without #, got: {text}"
        raise argparse.ArgumentTypeError(msg)
    return text
