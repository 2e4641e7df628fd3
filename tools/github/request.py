"""Who may start a run on our own runners, of which commit, and on which GPUs.

A run of a pull request names its commit: only that is run, for what is pushed after the review was read by nobody. Only
somebody who may push here can start one; GitHub sees to that, and it is asked once more.
"""

import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tools.github.asking import RefusedError, asked, hand_on

_LABEL = re.compile(r"[A-Za-z0-9._-]{1,60}")
_COMMIT = re.compile(r"[0-9a-f]{7,40}")
_NUMBER = re.compile(r"[1-9][0-9]{0,9}")
_MAY_PUSH = frozenset({"admin", "write"})
_NO_RUNNER = "the repository's variable GPU_RUNNERS names no runner: nothing is run"


def runner_labels(text: str) -> list[str]:
    """Read the repository's variable GPU_RUNNERS: one label a line, as `h200`.

    Raises:
        RefusedError: a line is no label, or stands twice.
    """
    labels = [line.strip() for line in text.splitlines() if line.strip()]
    for label in labels:
        if not _LABEL.fullmatch(label) or labels.count(label) > 1:
            msg = f"GPU_RUNNERS must hold one label of a runner a line, each once, got: {label!r}"
            raise RefusedError(msg)
    return labels


def request_of(event: Mapping[str, Any], *, commit: str, ask: Callable[[str], Any]) -> dict[str, str]:
    """Return what to run, and for which pull request.

    Args:
        event: the payload of the event; where it names no pull request, the commit that it is about is run.
        commit: the commit that the event is about.
        ask: answers a path of GitHub's API.

    Raises:
        RefusedError: the request is not well formed, who made it may not, or it names another commit than the newest.
    """
    inputs = event.get("inputs") or {}
    number = str(inputs.get("pull-request") or "").strip()
    if not number:
        return {"commit": commit, "pull_request": "", "branch": ""}
    named = _well_formed(number, str(inputs.get("commit") or "").strip())
    repository = str(event["repository"]["full_name"])
    _refuse_strangers(ask, repository, str(event["sender"]["login"]))
    head = ask(f"repos/{repository}/pulls/{number}")["head"]
    if not str(head["sha"]).startswith(named):
        newest = f"the newest commit of the pull request, which is {head['sha'][:9]}"
        msg = f"{named} is not {newest}: read that, then ask for it"
        raise RefusedError(msg)
    is_ours = head["repo"] is not None and head["repo"]["full_name"] == repository
    return {"commit": str(head["sha"]), "pull_request": number, "branch": str(head["ref"]) if is_ours else ""}


def _well_formed(number: str, commit: str) -> str:
    if not _NUMBER.fullmatch(number):
        msg = f"pull-request must be its number, got: {number!r}"
        raise RefusedError(msg)
    if not _COMMIT.fullmatch(commit):
        msg = f"commit must be at least 7 digits of the commit of the pull request that was read, got: {commit!r}"
        raise RefusedError(msg)
    return commit


def _refuse_strangers(ask: Callable[[str], Any], repository: str, login: str) -> None:
    permission = str(ask(f"repos/{repository}/collaborators/{login}/permission")["permission"])
    if permission not in _MAY_PUSH:
        msg = f"only who may push to {repository} may start this, got: {login} ({permission})"
        raise RefusedError(msg)


def main() -> int:
    """Read the event of this job, and hand on what the next ones need."""
    environment = os.environ
    try:
        event = json.loads(Path(environment["GITHUB_EVENT_PATH"]).read_text(encoding="utf-8"))
        labels = runner_labels(environment.get("GPU_RUNNERS", ""))
        request = request_of(event, commit=environment["GITHUB_SHA"], ask=asked)
        hand_on(request | {"runners": json.dumps(labels), "num_runners": str(len(labels))})
    except RefusedError as error:
        sys.stdout.write(f"::error title=diffopt::{error}\n")
        return 1
    if not labels:
        sys.stdout.write(f"::notice title=diffopt::{_NO_RUNNER}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
