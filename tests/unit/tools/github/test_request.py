"""Only users with push permission can start a run on the self-hosted runners, and only of a reviewed commit."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tools.github import request
from tools.github.commands import RefusedError
from tools.github.request import request_of, runner_labels

HEAD = "1a2b3c4d5e6f7a8b9c0d1e2f3a4b5c6d7e8f9a0b"


def started(commit: str, number: str = "12") -> dict[str, Any]:
    """Return the event of a run that a reviewer started for a pull request."""
    return {
        "inputs": {"pull-request": number, "commit": commit, "scale": "tiny"},
        "sender": {"login": "reviewer"},
        "repository": {"full_name": "owner/name"},
    }


def github(permission: str = "write", fork: str | None = "owner/name") -> Callable[[str], Any]:
    """Return a fake API with a pull request from this repository or from a fork."""
    answers: Mapping[str, Any] = {
        "repos/owner/name/collaborators/reviewer/permission": {"permission": permission},
        "repos/owner/name/pulls/12": {
            "head": {"sha": HEAD, "ref": "topic", "repo": None if fork is None else {"full_name": fork}}
        },
    }
    return answers.__getitem__


def requested(event: Mapping[str, Any], api: Callable[[str], Any]) -> dict[str, str]:
    """Return the request of an event."""
    return request_of(event, commit="of main", api=api)


def test_the_named_commit_is_run() -> None:
    """Later pushes are not run."""
    assert requested(started(HEAD), github()) == {"commit": HEAD, "pull_request": "12", "branch": "topic"}


@pytest.mark.parametrize("fork", ["stranger/name", None])
def test_a_fork_has_no_branch_here(fork: str | None) -> None:
    """Also if the fork was deleted."""
    assert not requested(started(HEAD), github(fork=fork))["branch"]


@pytest.mark.parametrize("permission", ["read", "none", "triage"])
def test_a_user_without_push_permission_is_refused(permission: str) -> None:
    """A run executes code on the self-hosted runners."""
    with pytest.raises(RefusedError) as refused:
        requested(started(HEAD), github(permission))

    assert str(refused.value) == f"starting a run needs push permission to owner/name, got: reviewer ({permission})"


@pytest.mark.parametrize("reviewed", ["0" * 40, HEAD[:39] + "c", "2" + HEAD[1:]])
def test_another_commit_than_the_newest_is_refused(reviewed: str) -> None:
    """A commit was pushed after the review, perhaps one that begins with the same digits."""
    with pytest.raises(RefusedError) as refused:
        requested(started(reviewed), github())

    assert str(refused.value) == (
        f"{reviewed} is not the newest commit of the pull request, which is {HEAD}: review that commit, then request it"
    )


@pytest.mark.parametrize("commit", ["", HEAD[:7], HEAD[:39], "HEAD", f"{HEAD}0", HEAD.upper(), f"{HEAD}\n0"])
def test_a_run_that_names_no_commit_is_refused(commit: str) -> None:
    """A branch can change after the review, and a commit with the same first digits can be searched for."""
    with pytest.raises(RefusedError) as refused:
        requested(started(commit), github())

    assert str(refused.value) == (
        f"commit must be all 40 digits of the reviewed commit, as git rev-parse prints them, got: {commit.strip()!r}"
    )


@pytest.mark.parametrize("number", ["0", "-1", "12/files", "latest"])
def test_an_invalid_number_of_a_pull_request_is_refused(number: str) -> None:
    """It becomes part of an API path."""
    with pytest.raises(RefusedError, match=r"^pull-request must be a number, got: "):
        requested(started(HEAD, number), github())


@pytest.mark.parametrize("event", [{}, {"inputs": None}, {"inputs": {"pull-request": "", "scale": "tiny"}}])
def test_without_a_pull_request_the_events_own_commit_is_run(event: dict[str, Any]) -> None:
    """A push to main, or a manual run without a pull request."""
    assert requested(event, github()) == {"commit": "of main", "pull_request": "", "branch": ""}


def test_each_line_is_a_runner_label() -> None:
    """Blank lines are ignored."""
    assert runner_labels("a100\n\n h200 \r\nl4") == ["a100", "h200", "l4"]
    assert runner_labels("") == []


@pytest.mark.parametrize("text", ["a100 h100", "$(x)", '"a100"', "a100\na100"])
def test_an_invalid_label_is_refused(text: str) -> None:
    """It becomes part of a job definition."""
    with pytest.raises(RefusedError, match=r"^GPU_RUNNERS must have one runner label per line, each once, got: "):
        runner_labels(text)


@pytest.mark.parametrize(
    ("runners", "labels", "printed"),
    [
        ("a100\nh200", '["a100", "h200"]', ""),
        ("", "[]", "::notice title=diffopt::the repository variable GPU_RUNNERS is empty: nothing is run\n"),
    ],
)
def test_outputs_for_the_next_jobs_are_written(  # noqa: PLR0913 - pytest's fixtures and three parameters
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    runners: str,
    labels: str,
    printed: str,
) -> None:
    """As outputs of the step, with a notice if there is no runner."""
    (tmp_path / "event").write_text(json.dumps(started(HEAD)))
    for name, value in {
        "GITHUB_EVENT_PATH": str(tmp_path / "event"),
        "GITHUB_SHA": "of main",
        "GITHUB_OUTPUT": str(tmp_path / "output"),
        "GPU_RUNNERS": runners,
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(request, "github_api", github())

    assert request.main() == 0
    assert (tmp_path / "output").read_text() == (
        f"commit={HEAD}\npull_request=12\nbranch=topic\nrunners={labels}\nnum_runners={len(runners.split())}\n"
    )
    assert capsys.readouterr().out == printed


def test_a_refusal_ends_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It writes no outputs."""
    (tmp_path / "event").write_text(json.dumps(started("main")))
    monkeypatch.setenv("GITHUB_EVENT_PATH", str(tmp_path / "event"))
    monkeypatch.setenv("GITHUB_SHA", "of main")

    assert request.main() == 1
    assert capsys.readouterr().out.startswith("::error title=diffopt::commit must be all 40 digits")


def test_a_refusal_is_one_command_whatever_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The answer of an API, or GPU_RUNNERS, cannot begin another command."""
    (tmp_path / "event").write_text(json.dumps(started(HEAD)))
    monkeypatch.setenv("GITHUB_EVENT_PATH", str(tmp_path / "event"))
    monkeypatch.setenv("GITHUB_SHA", "of main")
    answer = "read\n::add-mask::%0Aa"
    monkeypatch.setattr(request, "github_api", github(answer))

    assert request.main() == 1
    assert capsys.readouterr().out == (
        "::error title=diffopt::starting a run needs push permission to owner/name, "
        "got: reviewer (read%0A::add-mask::%250Aa)\n"
    )
