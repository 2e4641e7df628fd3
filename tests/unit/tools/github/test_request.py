"""Only who may push starts a run on our runners, and only of the commit that was read."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tools.github import request
from tools.github.asking import RefusedError
from tools.github.request import request_of, runner_labels

HEAD = "1a2b3c4d5e6f7a8b9c0d1e2f3a4b5c6d7e8f9a0b"


def started(commit: str, number: str = "12") -> dict[str, Any]:
    """Pretend that somebody started a run of a pull request."""
    return {
        "inputs": {"pull-request": number, "commit": commit, "scale": "tiny"},
        "sender": {"login": "reviewer"},
        "repository": {"full_name": "owner/name"},
    }


def github(permission: str = "write", fork: str | None = "owner/name") -> Callable[[str], Any]:
    """Answer for a pull request from this repository or from a fork."""
    answers: Mapping[str, Any] = {
        "repos/owner/name/collaborators/reviewer/permission": {"permission": permission},
        "repos/owner/name/pulls/12": {
            "head": {"sha": HEAD, "ref": "topic", "repo": None if fork is None else {"full_name": fork}}
        },
    }
    return answers.__getitem__


def asked_for(event: Mapping[str, Any], ask: Callable[[str], Any]) -> dict[str, str]:
    """Read an event."""
    return request_of(event, commit="of main", ask=ask)


def test_the_commit_that_is_named_is_run() -> None:
    """The whole hash is handed on, so that nothing that is pushed later is run."""
    assert asked_for(started(HEAD[:7]), github()) == {"commit": HEAD, "pull_request": "12", "branch": "topic"}


@pytest.mark.parametrize("fork", ["stranger/name", None])
def test_a_fork_has_no_branch_here(fork: str | None) -> None:
    """Also one that was deleted since."""
    assert not asked_for(started(HEAD), github(fork=fork))["branch"]


@pytest.mark.parametrize("permission", ["read", "none", "triage"])
def test_a_stranger_is_refused(permission: str) -> None:
    """Whoever could start it would run code on our machines."""
    with pytest.raises(RefusedError) as refused:
        asked_for(started(HEAD), github(permission))

    assert str(refused.value) == f"only who may push to owner/name may start this, got: reviewer ({permission})"


def test_another_commit_than_the_newest_is_refused() -> None:
    """Somebody pushed after the review."""
    with pytest.raises(RefusedError) as refused:
        asked_for(started("0000000"), github())

    assert str(refused.value) == (
        "0000000 is not the newest commit of the pull request, which is 1a2b3c4d5: read that, then ask for it"
    )


@pytest.mark.parametrize("commit", ["", "1a2b3c", "HEAD", f"{HEAD}0", HEAD.upper()])
def test_a_run_that_names_no_commit_is_refused(commit: str) -> None:
    """A branch would be what it is later."""
    with pytest.raises(RefusedError, match=r"^commit must be at least 7 digits of the commit of the pull request"):
        asked_for(started(commit), github())


@pytest.mark.parametrize("number", ["0", "-1", "12/files", "latest"])
def test_a_pull_request_is_a_number(number: str) -> None:
    """It becomes part of a path."""
    with pytest.raises(RefusedError, match=r"^pull-request must be its number, got: "):
        asked_for(started(HEAD, number), github())


@pytest.mark.parametrize("event", [{}, {"inputs": None}, {"inputs": {"pull-request": "", "scale": "tiny"}}])
def test_without_a_pull_request_the_events_own_commit_is_run(event: dict[str, Any]) -> None:
    """A push to main, or somebody's button."""
    assert asked_for(event, github()) == {"commit": "of main", "pull_request": "", "branch": ""}


def test_a_gpu_is_a_line() -> None:
    """Blank lines are nothing."""
    assert runner_labels("a100\n\n h200 \r\nl4") == ["a100", "h200", "l4"]
    assert runner_labels("") == []


@pytest.mark.parametrize("text", ["a100 h100", "$(x)", '"a100"', "a100\na100"])
def test_a_line_that_is_no_label_is_refused(text: str) -> None:
    """It would become part of a job."""
    with pytest.raises(RefusedError, match=r"^GPU_RUNNERS must hold one label of a runner a line, each once, got: "):
        runner_labels(text)


@pytest.mark.parametrize(
    ("runners", "expected", "said"),
    [
        ("a100\nh200", '["a100", "h200"]', ""),
        ("", "[]", "::notice title=diffopt::the repository's variable GPU_RUNNERS names no runner: nothing is run\n"),
    ],
)
def test_the_next_jobs_are_reported(  # noqa: PLR0913 - pytest's fixtures and three parameters
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    runners: str,
    expected: str,
    said: str,
) -> None:
    """As outputs of the step."""
    (tmp_path / "event").write_text(json.dumps(started(HEAD)))
    for name, value in {
        "GITHUB_EVENT_PATH": str(tmp_path / "event"),
        "GITHUB_SHA": "of main",
        "GITHUB_OUTPUT": str(tmp_path / "output"),
        "GPU_RUNNERS": runners,
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(request, "asked", github())

    assert request.main() == 0
    assert (tmp_path / "output").read_text() == (
        f"commit={HEAD}\npull_request=12\nbranch=topic\nrunners={expected}\nnum_runners={len(runners.split())}\n"
    )
    assert capsys.readouterr().out == said


def test_a_refusal_ends_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And hands nothing on."""
    (tmp_path / "event").write_text(json.dumps(started("main")))
    monkeypatch.setenv("GITHUB_EVENT_PATH", str(tmp_path / "event"))
    monkeypatch.setenv("GITHUB_SHA", "of main")

    assert request.main() == 1
    assert capsys.readouterr().out.startswith("::error title=diffopt::commit must be at least 7 digits")
