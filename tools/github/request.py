"""Decide which commit runs on the self-hosted runners, and on which GPUs.

A run of a pull request names the reviewed commit, and only that commit is run, since later pushes are not reviewed.
Only users with push permission can start a run. GitHub enforces this, and it is checked again here.
"""

import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pytest_diffopt.reports.workflow_commands import Level, annotation
from tools.github.commands import RefusedError, github_api, write_outputs

_LABEL = re.compile(r"[A-Za-z0-9._-]{1,60}")
# The whole name: a commit with the same first digits can be searched for, and pushed in place of the reviewed one.
_COMMIT = re.compile(r"[0-9a-f]{40}")
_NUMBER = re.compile(r"[1-9][0-9]{0,9}")
_MAY_PUSH = frozenset({"admin", "write"})
_NO_RUNNER = "the repository variable GPU_RUNNERS is empty: nothing is run"


def runner_labels(text: str) -> list[str]:
    """Parse the repository variable GPU_RUNNERS: one label per line, such as `h200`.

    Raises:
        RefusedError: a line is not a label, or is repeated.
    """
    labels = [line.strip() for line in text.splitlines() if line.strip()]
    for label in labels:
        if not _LABEL.fullmatch(label) or labels.count(label) > 1:
            msg = f"GPU_RUNNERS must have one runner label per line, each once, got: {label!r}"
            raise RefusedError(msg)
    return labels


def request_of(event: Mapping[str, Any], *, commit: str, api: Callable[[str], Any]) -> dict[str, str]:
    """Return the commit to run, and the pull request that it belongs to.

    Args:
        event: the payload of the event; if it names no pull request, `commit` is run.
        commit: the commit of the event.
        api: returns the response of GitHub's API for a path.

    Raises:
        RefusedError: the request is malformed, its sender has no push permission, or its commit is not the newest.
    """
    inputs = event.get("inputs") or {}
    number = str(inputs.get("pull-request") or "").strip()
    if not number:
        return {"commit": commit, "pull_request": "", "branch": ""}
    requested = _valid_commit(number, str(inputs.get("commit") or "").strip())
    repository = str(event["repository"]["full_name"])
    _require_push_permission(api, repository, str(event["sender"]["login"]))
    head = api(f"repos/{repository}/pulls/{number}")["head"]
    if head["sha"] != requested:
        newest = f"the newest commit of the pull request, which is {head['sha']}"
        msg = f"{requested} is not {newest}: review that commit, then request it"
        raise RefusedError(msg)
    is_same_repository = head["repo"] is not None and head["repo"]["full_name"] == repository
    return {
        "commit": requested,
        "pull_request": number,
        "branch": str(head["ref"]) if is_same_repository else "",
    }


def _valid_commit(number: str, commit: str) -> str:
    if not _NUMBER.fullmatch(number):
        msg = f"pull-request must be a number, got: {number!r}"
        raise RefusedError(msg)
    if not _COMMIT.fullmatch(commit):
        msg = f"commit must be all 40 digits of the reviewed commit, as git rev-parse prints them, got: {commit!r}"
        raise RefusedError(msg)
    return commit


def _require_push_permission(api: Callable[[str], Any], repository: str, login: str) -> None:
    permission = str(api(f"repos/{repository}/collaborators/{login}/permission")["permission"])
    if permission not in _MAY_PUSH:
        msg = f"starting a run needs push permission to {repository}, got: {login} ({permission})"
        raise RefusedError(msg)


def main() -> int:
    """Read the event of this job, and write the outputs for the next jobs."""
    environment = os.environ
    try:
        event = json.loads(Path(environment["GITHUB_EVENT_PATH"]).read_text(encoding="utf-8"))
        labels = runner_labels(environment.get("GPU_RUNNERS", ""))
        request = request_of(event, commit=environment["GITHUB_SHA"], api=github_api)
        write_outputs(request | {"runners": json.dumps(labels), "num_runners": str(len(labels))})
    except RefusedError as error:
        sys.stdout.write(f"{annotation(Level.ERROR, str(error))}\n")
        return 1
    if not labels:
        sys.stdout.write(f"{annotation(Level.NOTICE, _NO_RUNNER)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
