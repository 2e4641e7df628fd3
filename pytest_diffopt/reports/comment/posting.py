"""Find the comment that an earlier run wrote, and replace it; write one where there is none."""

import json
import re
import subprocess
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pytest_diffopt.errors import DiffoptError

#: GitHub refuses a longer comment; the marker and a link have their room beside this.
COMMENT_LIMIT_BYTES = 64_000
_KEY = re.compile(r"[A-Za-z0-9._-]{1,60}")
_NO_PERMISSION = re.compile(r"\(HTTP (?:401|403|404)\)")


class PostingError(DiffoptError):
    """A comment cannot be written."""


class NotAllowedError(PostingError):
    """The token may not write it."""


class Posted(StrEnum):
    """What became of the comment."""

    CREATED = "created"
    UPDATED = "updated"


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a comment goes.

    Attributes:
        repository: `owner/name`.
        pull_request: its number.
        key: which of several comments it is (a GPU, say); the comments of two keys live side by side.
        author: who writes it; a comment of anybody else is left alone, whatever it says.
    """

    repository: str
    pull_request: int
    key: str
    author: str

    def __post_init__(self) -> None:
        """Refuse what would lead elsewhere than to a pull request."""
        if not re.fullmatch(r"[A-Za-z0-9._-]+/[A-Za-z0-9._-]+", self.repository):
            msg = f"--repository must be owner/name, got: {self.repository!r}"
            raise PostingError(msg)
        if not _KEY.fullmatch(self.key):
            msg = f"--key must be up to 60 letters, digits, dots, hyphens and underscores, got: {self.key!r}"
            raise PostingError(msg)

    @property
    def marker(self) -> str:
        """The first line of the comment, which nobody sees and the next run finds."""
        return f"<!-- pytest-diffopt: {self.key} -->"


def post(place: Place, text: str) -> Posted:
    """Write the comment.

    Args:
        place: where.
        text: Markdown, as `--diffopt-summary` wrote it.

    Raises:
        NotAllowedError: the token may not.
        PostingError: the text is too long, or GitHub or its command line refuses for another reason.
    """
    length = len(text.encode())
    if length > COMMENT_LIMIT_BYTES:
        msg = f"a comment may have up to {COMMENT_LIMIT_BYTES} bytes, as --diffopt-summary writes it, got: {length}"
        raise PostingError(msg)
    body = json.dumps({"body": f"{place.marker}\n{text}"})
    number = _earlier(place)
    if number is None:
        _gh("--method", "POST", f"repos/{place.repository}/issues/{place.pull_request}/comments", body=body)
        return Posted.CREATED
    _gh("--method", "PATCH", f"repos/{place.repository}/issues/comments/{number}", body=body)
    return Posted.UPDATED


def _earlier(place: Place) -> int | None:
    """Return the number of the comment that an earlier run wrote."""
    path = f"repos/{place.repository}/issues/{place.pull_request}/comments?per_page=100"
    pages = json.loads(_gh("--paginate", "--slurp", path))
    comments: list[dict[str, Any]] = [comment for page in pages for comment in page]
    ours = [one for one in comments if one["user"]["login"] == place.author and _first_line(one) == place.marker]
    return int(ours[0]["id"]) if ours else None


def _first_line(comment: dict[str, Any]) -> str:
    return next(iter(str(comment["body"]).splitlines()), "")


def _gh(*arguments: str, body: str = "") -> str:
    """Ask GitHub by its own command line, which has the token from the environment."""
    command = ["gh", "api", *arguments, *(["--input", "-"] if body else [])]
    try:
        return subprocess.run(command, input=body, capture_output=True, text=True, check=True).stdout  # noqa: S603
    except FileNotFoundError as error:
        msg = "comments are written by GitHub's command line, and gh is not on the path"
        raise PostingError(msg) from error
    except subprocess.CalledProcessError as error:
        words = error.stderr.strip()
        kind = NotAllowedError if _NO_PERMISSION.search(words) else PostingError
        msg = f"GitHub refused the comment: {words or error.returncode}"
        raise kind(msg) from error
