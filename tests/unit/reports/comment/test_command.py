"""`python -m pytest_diffopt comment` creates or updates one comment; a fake `gh` records the requests."""

import json
import re
import stat
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pytest_diffopt.__main__ import main
from pytest_diffopt.records import Subject
from pytest_diffopt.reports.document import Report
from pytest_diffopt.reports.json_report import write_json_report
from pytest_diffopt.session.ledger import BrokenTest, CaseResult
from pytest_diffopt.session.unmet_requirements import UnmetRequirement
from tests.unit.reports.report_examples import full_report

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
    """Put a fake `gh` on the PATH and a report next to it; the pull request has no comment."""
    gh = tmp_path / "gh"
    gh.write_text(GH.format(python=sys.executable))
    gh.chmod(gh.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path))
    write(tmp_path, full_report())
    comments(tmp_path)
    return tmp_path


def write(github: Path, report: Report) -> None:
    """Write a report, and beside it the Markdown file that the tested code wrote."""
    folder = github / "report"
    folder.mkdir(exist_ok=True)
    write_json_report(folder, report)
    (folder / "summary.md").write_text("## diffopt: passed @team ![x](https://evil.example/x.png)\n")


def comments(github: Path, *found: tuple[int, str, str]) -> None:
    """Give the pull request these comments, one on each page."""
    pages = [[{"id": number, "user": {"login": login}, "body": body}] for number, login, body in found]
    (github / "comments").write_text(json.dumps(pages or [[]]))


def run(github: Path, *more: str) -> int:
    """Post the summary of the report."""
    place = ["--repository", "owner/name", "--pull-request", "12", "--key", "h200"]
    return main(["comment", str(github / "report"), *place, *more])


def asked(github: Path) -> list[dict[str, Any]]:
    """Return the recorded requests."""
    return [json.loads(line) for line in (github / "asked").read_text().splitlines()]


def test_the_first_run_creates_a_comment(github: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It has a hidden marker, and a link to the report."""
    assert run(github, "--link", "https://example.org/report") == 0

    (listed, posted) = asked(github)
    assert listed["arguments"][-1] == "repos/owner/name/issues/12/comments?per_page=100"
    assert posted["arguments"][:4] == ["api", "--method", "POST", "repos/owner/name/issues/12/comments"]
    body = json.loads(posted["body"])["body"]
    assert body.startswith(f"{MARKER}\n## diffopt: failed\n")
    assert body.endswith("\n[The full report](https://example.org/report)\n")
    assert "evil.example" not in body
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


def test_every_text_of_a_report_is_shown_literally(github: Path) -> None:
    """A name, a reason, a failure and a GPU that would be markup, a mention or a link."""
    markup = "|\n`x` @team #12 <img src=a> ![x](https://evil.example/x.png) www.evil.example\n```\n::error::x"
    original = full_report()
    (entry, *entries) = original.verdicts
    verdict = replace(entry.verdict, summary=markup, figures={}, subject=Subject(pipeline=markup, recipe=markup))
    report = msgspec.structs.replace(
        original,
        verdicts=[replace(entry, nodeid=markup, verdict=verdict), *entries],
        broken=[BrokenTest(nodeid=markup, reason=markup, details=markup)],
        skipped=[CaseResult(nodeid=markup, file="a.py", line=1, skip_reason=markup)],
        unmet_requirements=[UnmetRequirement(text=markup, is_failure=True)],
    )
    write(github, report)

    assert run(github) == 0
    body = json.loads(asked(github)[1]["body"])["body"]
    fences = re.compile(r"^(`{3,})text\n.*?^\1$", re.MULTILINE | re.DOTALL)
    outside = fences.sub("", body.removeprefix(MARKER))
    assert len(fences.findall(body)) > 1
    assert "evil" in outside
    for active in ("`", "@", "![", "](", "<img", "https:", "www.", "\n::"):
        assert active not in outside
    assert not re.search(r"#\d", outside.replace("&#", ""))


def test_a_folder_without_a_report_is_refused(github: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No request is sent, also not with the Markdown beside it."""
    (github / "report/report.json").unlink()

    assert run(github) == 2
    assert str(github / "report/report.json") in capsys.readouterr().err
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


@pytest.mark.parametrize(
    ("option", "value", "problem"),
    [
        ("--link", "https://a/](x)", "argument --link: must be a whole https URL without #, got: https://a/](x)"),
        ("--link", "javascript:x", "argument --link: must be a whole https URL without #, got: javascript:x"),
        ("--pull-request", "-1", "argument --pull-request: must be a whole number of at least 1, got: -1"),
        ("--pull-request", "1/x", "argument --pull-request: must be a whole number of at least 1, got: 1/x"),
    ],
)
def test_an_invalid_link_or_number_is_refused(
    github: Path, capsys: pytest.CaptureFixture[str], option: str, value: str, problem: str
) -> None:
    """A link could end early, a number become another path."""
    with pytest.raises(SystemExit):
        run(github, f"{option}={value}")

    assert problem in capsys.readouterr().err
