"""The command line of `python -m pytest_diffopt comment`."""

import argparse
import sys
from pathlib import Path
from typing import Any

from pytest_diffopt.arguments import whole_number
from pytest_diffopt.reports.comment.posting import NotAllowedError, Place, post
from pytest_diffopt.reports.summary_command import report_url
from pytest_diffopt.reports.workflow_commands import Level, annotation

_DESCRIPTION = """
Post the summary of a report as a comment on a pull request; it replaces the comment of an earlier run. The summary is
written from the report's figures and texts, which GitHub shows literally: a pull request cannot post Markdown of its
own. Requests go through GitHub's CLI, gh, which reads GH_TOKEN. Without permission to comment, a notice is printed and
the command succeeds.
"""
_ACTIONS_LOGIN = "github-actions[bot]"


def add_to(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add this command to the command line of the package."""
    parser = commands.add_parser("comment", help="post a summary on a pull request", description=_DESCRIPTION)
    parser.set_defaults(run=run)
    parser.add_argument("folder", type=Path, help="the folder that --diffopt-report or merge wrote")
    parser.add_argument("--repository", required=True, metavar="OWNER/NAME", help="the repository")
    parser.add_argument(
        "--pull-request", required=True, type=whole_number, metavar="N", help="the pull request's number"
    )
    parser.add_argument("--key", default="gate", help="distinguishes several comments (default: %(default)s)")
    parser.add_argument("--author", default=_ACTIONS_LOGIN, help="login of its author (default: %(default)s)")
    parser.add_argument("--link", type=report_url, default="", metavar="URL", help="link to the full report")


def run(options: argparse.Namespace) -> None:
    """Post the comment, or print a notice if the token has no permission.

    Raises:
        DiffoptError: the report cannot be read, or posting fails for another reason.
    """
    place = Place(
        repository=options.repository,
        pull_request=options.pull_request,
        key=options.key,
        author=options.author,
    )
    try:
        posted = post(place, _text(options.folder, options.link))
    except NotAllowedError as error:
        sys.stdout.write(f"{annotation(Level.NOTICE, f'no comment: {error}')}\n")
    else:
        sys.stdout.write(f"{posted} the comment {options.key!r} of {options.repository}#{options.pull_request}\n")


def _text(folder: Path, link: str) -> str:
    """Return the summary of the report, never Markdown from a file: a job that runs untrusted code wrote the folder."""
    from pytest_diffopt.reports.github_summary import COMMENT_LIMIT_BYTES, render_folder  # noqa: PLC0415 - --help needs no msgspec

    text = render_folder(folder, limit_bytes=COMMENT_LIMIT_BYTES)
    return f"{text}\n[The full report]({link})\n" if link else text
