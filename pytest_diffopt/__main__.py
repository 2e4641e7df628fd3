"""`python -m pytest_diffopt`: the commands of this package."""

import argparse
import sys
from collections.abc import Sequence

from pytest_diffopt.errors import DiffoptError
from pytest_diffopt.null_gpu import command as null_gpu
from pytest_diffopt.profile import command as profile
from pytest_diffopt.reports import summary_command as summary
from pytest_diffopt.reports.comment import command as comment
from pytest_diffopt.reports.merging import command as merge
from pytest_diffopt.reports.page import command as report

_FAILED = 1
_BAD_INPUT = 2  # as argparse


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; a user error is printed on stderr."""
    parser = argparse.ArgumentParser(prog="python -m pytest_diffopt", description=__doc__)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    profile.add_to(commands)
    null_gpu.add_to(commands)
    comment.add_to(commands)
    report.add_to(commands)
    merge.add_to(commands)
    summary.add_to(commands)
    given = sys.argv[1:] if arguments is None else arguments
    options = parser.parse_args(given)
    try:
        _refuse_nul(given)
        is_failure = options.run(options)
    except DiffoptError as error:
        sys.stderr.write(f"error: {error}\n")
        return _BAD_INPUT
    return _FAILED if is_failure else 0


def _refuse_nul(arguments: Sequence[str]) -> None:
    for argument in arguments:
        if "\0" in argument:  # only a caller of `main` can pass one; no file has such a name
            msg = f"an argument must not contain a NUL character, got: {argument!r}"
            raise DiffoptError(msg)


if __name__ == "__main__":
    sys.exit(main())
