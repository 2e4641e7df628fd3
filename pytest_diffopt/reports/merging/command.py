"""The command line of `python -m pytest_diffopt merge`."""

import argparse
import sys
from pathlib import Path
from typing import Any

_DESCRIPTION = """
Merge the reports that --diffopt-report wrote on several machines, or of several parts of a suite, into one: report.json
and index.html with the images of all, and summary.md. The exit code is 1 where anything in it is red.
"""


def add_to(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add this command to those that the package knows."""
    parser = commands.add_parser("merge", help="merge the reports of several shards", description=_DESCRIPTION)
    parser.set_defaults(run=run)
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER", help="a folder that --diffopt-report wrote")
    parser.add_argument("--into", type=Path, required=True, metavar="DIR", help="a new folder, for the merged report")
    parser.add_argument("--expect", type=_shards, metavar="N", help="with another number of reports it is red")
    parser.add_argument(
        "--require", metavar="WHAT", help='with fewer verdicts it is red, as --diffopt-require: "gpu>=20, latency>=3"'
    )


def run(options: argparse.Namespace) -> bool:
    """Write the merged report, say where it is, and return whether it is red.

    Raises:
        DiffoptError: a report cannot be read or merged with the others, or the folder cannot be written.
    """
    from pytest_diffopt.reports.merging.combining import Demands, together  # noqa: PLC0415 - as above
    from pytest_diffopt.reports.merging.new_folder import new_folder  # noqa: PLC0415 - as above
    from pytest_diffopt.reports.merging.sources import read_sources  # noqa: PLC0415 - as above
    from pytest_diffopt.reports.merging.writing import conclusion, write_merged  # noqa: PLC0415 - as above
    from pytest_diffopt.session.required_verdicts import parse_requirements  # noqa: PLC0415 - the other commands do without

    requirements = parse_requirements(options.require, option="--require") if options.require is not None else ()
    sources = read_sources(options.folders)
    report = together(sources, Demands(num_shards=options.expect, requirements=requirements))
    with new_folder(options.into, others=options.folders) as folder:
        write_merged(folder, report, sources)
    sys.stdout.write("".join(f"{line}\n" for line in conclusion(report, options.into)))
    return report.is_failure()


def _shards(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        msg = f"must be a whole number of at least 1, got: {text}"
        raise argparse.ArgumentTypeError(msg)
    return int(text)
