"""Run git without a shell."""

import os
import subprocess
from pathlib import Path

from pytest_diffopt.errors import DiffoptError


class GitError(DiffoptError):
    """git failed; the message contains git's own."""


class GitMissingError(GitError):
    """git is not on PATH."""


def git_output(folder: Path, *arguments: str) -> str:
    """Run git in a folder and return its output without surrounding white space.

    Raises:
        GitError: git is missing or failed.
    """
    return git_bytes(folder, *arguments).decode("utf-8", errors="surrogateescape").strip()


def git_bytes(folder: Path, *arguments: str) -> bytes:
    """Run git in a folder and return its output as bytes.

    Raises:
        GitError: git is missing or failed.
    """
    command = ("git", "-C", str(folder), *arguments)
    # git sets these variables for its hooks; they would select another repository than the folder.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        return subprocess.run(command, capture_output=True, check=True, env=environment).stdout  # noqa: S603
    except FileNotFoundError as error:
        msg = "git is not on PATH"
        raise GitMissingError(msg) from error
    except subprocess.CalledProcessError as error:
        output = error.stderr.decode("utf-8", errors="replace").strip()
        msg = f"{' '.join(command)}: {output or error.returncode}"
        raise GitError(msg) from error
