"""git, asked without a shell."""

import os
import subprocess
from pathlib import Path

from pytest_diffopt.errors import DiffoptError


class GitError(DiffoptError):
    """git refused; the message is its own."""


class GitMissingError(GitError):
    """git is not on the path."""


def git_output(folder: Path, *arguments: str) -> str:
    """Run git in a folder and return what it prints, without blanks around it.

    Raises:
        GitError: git is missing, or ends with an error.
    """
    return git_bytes(folder, *arguments).decode("utf-8", errors="surrogateescape").strip()


def git_bytes(folder: Path, *arguments: str) -> bytes:
    """Run git in a folder and return what it prints, to the byte.

    Raises:
        GitError: git is missing, or ends with an error.
    """
    command = ("git", "-C", str(folder), *arguments)
    # git itself sets these for its hooks; they would name another repository than the folder.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        return subprocess.run(command, capture_output=True, check=True, env=environment).stdout  # noqa: S603
    except FileNotFoundError as error:
        msg = "git is not on the path"
        raise GitMissingError(msg) from error
    except subprocess.CalledProcessError as error:
        words = error.stderr.decode("utf-8", errors="replace").strip()
        msg = f"{' '.join(command)}: {words or error.returncode}"
        raise GitError(msg) from error
