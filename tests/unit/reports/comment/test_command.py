"""`python -m pytest_diffopt comment` creates or updates one comment; a fake `gh` records the requests."""

import json
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from pytest_diffopt.__main__ import main

# Records every request, returns the list of comments from a file, and fails if the file `refusal` exists.
GH = """#!{python}
import json, pathlib, sys
here = pathlib.Path(__file__).parent
asked = {{"arguments": sys.argv[1:], "body": sys.stdin.read() if "--input" in sys.argv else ""}}
with (here / "asked").open("a") as file:
    file.write(json.dumps(asked) + "\\n")
refusal = here / "refusal"
if refusal.exists():
    sys.exit(refusal.read_text())
print((here / "comments").read_text() if "--paginate" in sys.argv else "{{}}")
"""
MARKER = "<!-- pytest-diffopt: h200 -->"
BOT = "github-actions[bot]"


@pytest.fixture
def github(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a fake `gh` on the PATH and a summary next to it; the pull request has no comment."""
    gh = tmp_path / "gh"
    gh.write_text(GH.format(python=sys.executable))
    gh.chmod(gh.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "summary.md").write_text("## diffopt: passed\n")
    comments(tmp_path)
    return tmp_path


def comments(github: Path, *found: tuple[int, str, str]) -> None:
    """Give the pull request these comments, one on each page."""
    pages = [[{"id": number, "user": {"login": login}, "body": body}] for number, login, body in found]
    (github / "comments").write_text(json.dumps(pages or [[]]))


def run(github: Path, *more: str) -> int:
    """Post the summary."""
    place = ["--repository", "owner/name", "--pull-request", "12", "--key", "h200"]
    return main(["comment", str(github / "summary.md"), *place, *more])


def asked(github: Path) -> list[dict[str, Any]]:
    """Return the recorded requests."""
    return [json.loads(line) for line in (github / "asked").read_text().splitlines()]


def test_the_first_run_creates_a_comment(github: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It has a hidden marker, and a link to the report."""
    assert run(github, "--link", "https://example.org/report") == 0

    (listed, posted) = asked(github)
    assert listed["arguments"][-1] == "repos/owner/name/issues/12/comments?per_page=100"
    assert posted["arguments"][:4] == ["api", "--method", "POST", "repos/owner/name/issues/12/comments"]
    assert json.loads(posted["body"]) == {
        "body": f"{MARKER}\n## diffopt: passed\n\n[The full report](https://example.org/report)\n"
    }
    assert capsys.readouterr().out == "created the comment 'h200' of owner/name#12\n"


def test_the_next_run_updates_it(github: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On any page, and only the comment with the same key and author."""
    comments(
        github,
        (1, "mallory", f"{MARKER}\nnot yours"),
        (2, BOT, "<!-- pytest-diffopt: a100 -->\nother GPU"),
        (3, BOT, f"quoting {MARKER}"),
        (4, BOT, f"{MARKER}\r\nold"),
    )

    assert run(github) == 0
    assert asked(github)[1]["arguments"][:4] == ["api", "--method", "PATCH", "repos/owner/name/issues/comments/4"]
    assert capsys.readouterr().out == "updated the comment 'h200' of owner/name#12\n"


@pytest.mark.parametrize("status", [401, 403, 404])
def test_no_permission_is_a_notice(github: Path, capsys: pytest.CaptureFixture[str], status: int) -> None:
    """The token of a pull request from a fork is read-only; the job does not fail for it."""
    (github / "refusal").write_text(f"gh: Resource not accessible by integration (HTTP {status})")

    assert run(github) == 0
    assert capsys.readouterr().out == (
        "::notice title=diffopt::no comment: GitHub refused the comment: "
        f"gh: Resource not accessible by integration (HTTP {status})\n"
    )


def test_another_refusal_is_an_error(github: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The message contains GitHub's."""
    (github / "refusal").write_text("gh: Validation Failed (HTTP 422)")

    assert run(github) == 2
    assert capsys.readouterr().err == "error: GitHub refused the comment: gh: Validation Failed (HTTP 422)\n"


def test_a_missing_gh_is_an_error(
    github: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A self-hosted runner can lack it."""
    monkeypatch.setenv("PATH", "/nowhere")

    assert run(github) == 2
    assert capsys.readouterr().err == ("error: comments are posted by GitHub's CLI, and gh is not on the PATH\n")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "the summary is empty, so the run ended before its tests: {file}"),
        (b"\xff", "the summary must be a file that --diffopt-summary wrote, got: {file} (not UTF-8 at byte 0)"),
        (
            b"x" * 64_001,
            "a comment must have at most 64000 bytes, as --diffopt-summary writes it, got: 64001",
        ),
        (
            None,
            "the summary must be a file that --diffopt-summary wrote, got: {file} (No such file or directory)",
        ),
    ],
)
def test_an_invalid_summary_is_refused(
    github: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, problem: str
) -> None:
    """No request is sent."""
    file = github / "summary.md"
    file.unlink()
    if content is not None:
        file.write_bytes(content)

    assert run(github) == 2
    assert capsys.readouterr().err == f"error: {problem.format(file=file)}\n"
    assert not (github / "asked").exists()


@pytest.mark.parametrize(
    ("option", "value", "problem"),
    [
        ("--repository", "owner/name/../other", "--repository must be owner/name, got: 'owner/name/../other'"),
        (
            "--key",
            "--><script>",
            "--key must be up to 60 letters, digits, dots, hyphens and underscores, got: '--><script>'",
        ),
    ],
)
def test_an_invalid_repository_or_key_is_refused(
    github: Path, capsys: pytest.CaptureFixture[str], option: str, value: str, problem: str
) -> None:
    """They could lead to another URL, or end the marker."""
    assert run(github, f"{option}={value}") == 2
    assert capsys.readouterr().err == f"error: {problem}\n"
