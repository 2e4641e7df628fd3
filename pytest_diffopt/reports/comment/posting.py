"""Replace the comment of an earlier run on a pull request, or create the first one."""

import json
import re
import subprocess
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pytest_diffopt.errors import DiffoptError

#: GitHub rejects a comment of more than 65,536 characters; the rest is for the marker and a link.
COMMENT_LIMIT_BYTES = 64_000
_KEY = re.compile(r"[A-Za-z0-9._-]{1,60}")
_NO_PERMISSION = re.compile(r"\(HTTP (?:401|403|404)\)")


class PostingError(DiffoptError):
    """A comment cannot be posted."""


class NotAllowedError(PostingError):
    """The token has no permission to comment."""


class Posted(StrEnum):
    """Whether the comment was created or updated."""

    CREATED = "created"
    UPDATED = "updated"


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """The pull request of a comment, and the key and author that identify the comment.

    Attributes:
        repository: `owner/name`.
        pull_request: number of the pull request.
        key: identifies one of several comments, for example by GPU.
        author: login of the author; comments of other authors are never changed.
    """

    repository: str
    pull_request: int
    key: str
    author: str

    def __post_init__(self) -> None:
        """Validate the repository and the key, because both become part of a request."""
        if not re.fullmatch(r"[A-Za-z0-9._-]+/[A-Za-z0-9._-]+", self.repository):
            msg = f"--repository must be owner/name, got: {self.repository!r}"
            raise PostingError(msg)
        if not _KEY.fullmatch(self.key):
            msg = f"--key must be up to 60 letters, digits, dots, hyphens and underscores, got: {self.key!r}"
            raise PostingError(msg)

    @property
    def marker(self) -> str:
        """The first line of the comment: hidden in the rendered comment, and searched for by the next run."""
        return f"<!-- pytest-diffopt: {self.key} -->"


def post(place: Place, text: str) -> Posted:
    """Create or update the comment.

    Args:
        place: the pull request and the comment's key.
        text: Markdown that `reports.github_summary` rendered.

    Raises:
        NotAllowedError: the token has no permission to comment.
        PostingError: the text is too long, or gh fails for another reason.
    """
    length = len(text.encode())
    if length > COMMENT_LIMIT_BYTES:
        msg = f"a comment must have at most {COMMENT_LIMIT_BYTES} bytes, got: {length}"
        raise PostingError(msg)
    body = json.dumps({"body": f"{place.marker}\n{text}"})
    number = _earlier(place)
    if number is None:
        _gh("--method", "POST", f"repos/{place.repository}/issues/{place.pull_request}/comments", body=body)
        return Posted.CREATED
    _gh("--method", "PATCH", f"repos/{place.repository}/issues/comments/{number}", body=body)
    return Posted.UPDATED


def _earlier(place: Place) -> int | None:
    """Return the ID of the comment of an earlier run, or None."""
    path = f"repos/{place.repository}/issues/{place.pull_request}/comments?per_page=100"
    pages = json.loads(_gh("--paginate", "--slurp", path))
    comments: list[dict[str, Any]] = [comment for page in pages for comment in page]
    matching = [one for one in comments if one["user"]["login"] == place.author and _first_line(one) == place.marker]
    return int(matching[0]["id"]) if matching else None


def _first_line(comment: dict[str, Any]) -> str:
    return next(iter(str(comment["body"]).splitlines()), "")


def _gh(*arguments: str, body: str = "") -> str:
    """Send a request through GitHub's CLI, which reads the token from the environment."""
    command = ["gh", "api", *arguments, *(["--input", "-"] if body else [])]
    try:
        return subprocess.run(command, input=body, capture_output=True, text=True, check=True).stdout  # noqa: S603
    except FileNotFoundError as error:
        msg = "comments are posted by GitHub's CLI, and gh is not on the PATH"
        raise PostingError(msg) from error
    except subprocess.CalledProcessError as error:
        problem = error.stderr.strip()
        error_type = NotAllowedError if _NO_PERMISSION.search(problem) else PostingError
        msg = f"GitHub refused the comment: {problem or error.returncode}"
        raise error_type(msg) from error
