"""The command line of `python -m pytest_diffopt comment`."""

import argparse
import sys
from pathlib import Path
from typing import Any

from pytest_diffopt.reports.comment.posting import NotAllowedError, Place, PostingError, post

_DESCRIPTION = """
Put a summary, as --diffopt-summary wrote it, on a pull request; it replaces the comment of an earlier run.
GitHub's command line, gh, does the asking: it wants GH_TOKEN. Without the right to comment there is a notice, and no
failure.
"""
_ACTIONS_LOGIN = "github-actions[bot]"


def add_to(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add this command to those that the package knows."""
    parser = commands.add_parser("comment", help="put a summary on a pull request", description=_DESCRIPTION)
    parser.set_defaults(run=run)
    parser.add_argument("summary", type=Path, help="the file that --diffopt-summary wrote")
    parser.add_argument("--repository", required=True, metavar="OWNER/NAME", help="of the pull request")
    parser.add_argument("--pull-request", required=True, type=int, metavar="N", help="its number")
    parser.add_argument("--key", default="gate", help="which of several comments this is (default: %(default)s)")
    parser.add_argument("--author", default=_ACTIONS_LOGIN, help="who writes it (default: %(default)s)")
    parser.add_argument("--link", default="", metavar="URL", help="where the whole report is")


def run(options: argparse.Namespace) -> None:
    """Write the comment, or say why it may not be written.

    Raises:
        DiffoptError: the summary cannot be read, or GitHub refuses for another reason than permission.
    """
    place = Place(
        repository=options.repository,
        pull_request=options.pull_request,
        key=options.key,
        author=options.author,
    )
    try:
        posted = post(place, _text(options.summary, options.link))
    except NotAllowedError as error:
        sys.stdout.write(f"::notice title=diffopt::no comment: {error}\n")
    else:
        sys.stdout.write(f"{posted} the comment {options.key!r} of {options.repository}#{options.pull_request}\n")


def _text(file: Path, link: str) -> str:
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        msg = f"the summary must be a file that --diffopt-summary wrote, got: {file} ({error.strerror})"
        raise PostingError(msg) from error
    except UnicodeDecodeError as error:
        msg = f"the summary must be a file that --diffopt-summary wrote, got: {file} (no UTF-8 at byte {error.start})"
        raise PostingError(msg) from error
    if not text.strip():
        msg = f"the summary is empty, so the run ended before its tests: {file}"
        raise PostingError(msg)
    return f"{text}\n[The whole report]({link})\n" if link else text
