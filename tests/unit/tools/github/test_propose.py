"""What runners measured becomes a pull request, and nothing else that lies beside it."""

import stat
import sys
from pathlib import Path

import pytest

from tests.unit.paired.repositories import commit, git
from tools.github import propose

# Writes down what it was asked.
GH = """#!{python}
import pathlib, sys
with (pathlib.Path(__file__).parent / "asked").open("a") as file:
    file.write("\\n".join(sys.argv[1:]) + "\\n")
print("https://example.org/pull/13")
"""
ARGUMENTS = ("--branch=baselines/of-1a2b3c4d5", "--link=https://example.org/run", "--reason=a better kernel")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a checkout of a repository with one baseline, and a stand-in for `gh`."""
    commit(tmp_path / "origin", {"baselines/nvidia-h200/a.json": "{}\n"})
    git(tmp_path, "clone", "--quiet", str(tmp_path / "origin"), "project")
    gh = tmp_path / "bin/gh"
    gh.parent.mkdir()
    gh.write_text(GH.format(python=sys.executable))
    gh.chmod(gh.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{gh.parent}:/usr/bin:/bin")
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path


def measured(project: Path, name: str, content: bytes = b'{"a": 1}\n') -> Path:
    """Pretend that a runner measured this."""
    path = project / "artifacts/report-h200" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def run(project: Path, monkeypatch: pytest.MonkeyPatch, *, base: str = "main") -> int:
    """Propose what was measured."""
    monkeypatch.setattr("sys.argv", ["propose", str(project / "artifacts"), f"--base={base}", *ARGUMENTS])
    return propose.main()


def test_what_changed_is_committed_pushed_and_proposed(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a branch of its own, with the reason and the run; the report beside it stays out."""
    measured(project, "baselines/nvidia-h200/a.json")
    measured(project, "baselines/nvidia-l4/deep/b.png", b"image")
    measured(project, "report/report.json")

    assert run(project, monkeypatch) == 0
    assert capsys.readouterr().out == "https://example.org/pull/13\n"
    branch = "baselines/of-1a2b3c4d5"
    assert git(project / "origin", "diff", "--name-only", "main", branch).splitlines() == [
        "baselines/nvidia-h200/a.json",
        "baselines/nvidia-l4/deep/b.png",
    ]
    title = "Accept baselines measured on nvidia-h200, nvidia-l4"
    assert git(project / "origin", "log", "-1", "--format=%an%n%B", branch).split("\n\n") == [
        f"github-actions[bot]\n{title}",
        "a better kernel",
    ]
    asked = (project / "bin/asked").read_text().splitlines()
    assert asked[:2] == ["auth", "setup-git"]
    assert asked[2:10] == ["pr", "create", "--base", "main", "--head", branch, "--title", title]


def test_nothing_new_is_no_pull_request(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The figures are those that were accepted."""
    measured(project, "baselines/nvidia-h200/a.json", b"{}\n")

    assert run(project, monkeypatch) == 0
    assert capsys.readouterr().out == (
        "::notice title=diffopt::what was measured is what was accepted: nothing to propose\n"
    )
    assert not (project / "bin/asked").exists()


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("baselines/run.sh", b"", "a baseline is a file that ends with .json, .png, .safetensors, got: "),
        ("baselines/a.json", b"{", "a baseline is whole JSON, got: "),
        ("baselines/a.png", b"x" * (16 * 1024 * 1024 + 1), "a baseline has up to 16777216 bytes, got: 16777217 in "),
    ],
)
def test_anything_else_is_refused(  # noqa: PLR0913, PLR0917 - pytest's fixtures and three parameters
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    content: bytes,
    problem: str,
) -> None:
    """A runner has run what a pull request holds, so it may hand over anything."""
    measured(project, name, content)

    assert run(project, monkeypatch) == 1
    assert capsys.readouterr().out.startswith(f"::error title=diffopt::{problem}")


def test_a_link_out_of_the_folder_is_refused(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It would put a file of this machine into the pull request."""
    link = project / "artifacts/report-h200/baselines/a.json"
    link.parent.mkdir(parents=True)
    link.symlink_to("/etc/hostname")

    assert run(project, monkeypatch) == 1
    assert "a baseline is a file" in capsys.readouterr().out


def test_the_branch_of_a_fork_is_refused(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody can open a pull request to it from here."""
    measured(project, "baselines/nvidia-h200/a.json")

    assert run(project, monkeypatch, base="") == 1
    assert capsys.readouterr().out == (
        "::error title=diffopt::the branch of a fork cannot take a pull request from here: "
        "take the baselines from the artefacts\n"
    )
