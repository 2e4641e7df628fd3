"""The command line of `python -m pytest_diffopt merge`."""

import argparse
import sys
from pathlib import Path
from typing import Any

from pytest_diffopt.arguments import whole_number
from pytest_diffopt.printable import printable_line

_DESCRIPTION = """
Merge reports that --diffopt-report wrote on several machines, or for several parts of a suite: into report.json,
index.html with all images, and summary.md. The exit code is 1 if the merged report has a failure.
"""


def add_to(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add this command to the command line of the package."""
    parser = commands.add_parser("merge", help="merge the reports of several shards", description=_DESCRIPTION)
    parser.set_defaults(run=run)
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER", help="a folder that --diffopt-report wrote")
    parser.add_argument("--into", type=Path, required=True, metavar="DIR", help="a new folder for the merged report")
    parser.add_argument("--expect", type=whole_number, metavar="N", help="fail if the number of reports is not N")
    parser.add_argument(
        "--require", metavar="WHAT", help='fail with fewer verdicts, as --diffopt-require: "gpu>=20, latency>=3"'
    )


def run(options: argparse.Namespace) -> bool:
    """Write the merged report, print its conclusion, and return whether it has a failure.

    Raises:
        DiffoptError: a report cannot be read or merged with the others, or the folder cannot be written.
    """
    from pytest_diffopt.reports.merging.merge import conclusion, merge  # noqa: PLC0415 - --help needs no msgspec

    report = merge(options.folders, options.into, num_shards=options.expect, required=options.require)
    sys.stdout.write("".join(f"{printable_line(line)}\n" for line in conclusion(report, options.into)))
    return report.is_failure()
