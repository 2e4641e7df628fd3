"""The command line of `python -m pytest_diffopt comment`."""

import argparse
import sys
from pathlib import Path
from typing import Any

from pytest_diffopt.reports.comment.posting import NotAllowedError, Place, PostingError, post

_DESCRIPTION = """
Post a summary that --diffopt-summary wrote as a comment on a pull request; it replaces the comment of an earlier run.
Requests go through GitHub's CLI, gh, which reads GH_TOKEN. Without permission to comment, a notice is printed and the
command succeeds.
"""
_ACTIONS_LOGIN = "github-actions[bot]"


def add_to(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add this command to the command line of the package."""
    parser = commands.add_parser("comment", help="post a summary on a pull request", description=_DESCRIPTION)
    parser.set_defaults(run=run)
    parser.add_argument("summary", type=Path, help="the file that --diffopt-summary wrote")
    parser.add_argument("--repository", required=True, metavar="OWNER/NAME", help="the repository")
    parser.add_argument("--pull-request", required=True, type=int, metavar="N", help="the pull request's number")
    parser.add_argument("--key", default="gate", help="distinguishes several comments (default: %(default)s)")
    parser.add_argument("--author", default=_ACTIONS_LOGIN, help="login of its author (default: %(default)s)")
    parser.add_argument("--link", default="", metavar="URL", help="link to the full report")


def run(options: argparse.Namespace) -> None:
    """Post the comment, or print a notice if the token has no permission.

    Raises:
        DiffoptError: the summary cannot be read, or posting fails for another reason.
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
        msg = f"the summary must be a file that --diffopt-summary wrote, got: {file} (not UTF-8 at byte {error.start})"
        raise PostingError(msg) from error
    if not text.strip():
        msg = f"the summary is empty, so the run ended before its tests: {file}"
        raise PostingError(msg)
    return f"{text}\n[The full report]({link})\n" if link else text
