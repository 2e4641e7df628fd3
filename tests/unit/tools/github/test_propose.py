"""Measured baselines are proposed in a pull request, and other files are refused."""

import stat
import sys
from pathlib import Path

import pytest

from tests.unit.paired.repositories import commit, git
from tools.github import propose

# Records its arguments.
GH = """#!{python}
import pathlib, sys
with (pathlib.Path(__file__).parent / "asked").open("a") as file:
    file.write("\\n".join(sys.argv[1:]) + "\\n")
print("https://example.org/pull/13")
"""
ARGUMENTS = ("--branch=baselines/of-1a2b3c4d5", "--link=https://example.org/run", "--reason=a better kernel")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Create a checkout of a repository with one baseline, and a fake `gh`."""
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
    """Write a file into the artifact of a runner."""
    path = project / "artifacts/report-h200" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def run(project: Path, monkeypatch: pytest.MonkeyPatch, *, base: str = "main") -> int:
    """Propose the measured baselines."""
    monkeypatch.setattr("sys.argv", ["propose", str(project / "artifacts"), f"--base={base}", *ARGUMENTS])
    return propose.main()


def test_changed_baselines_are_committed_pushed_and_proposed(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a new branch, with the reason and a link to the run; the report is not committed."""
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


def test_unchanged_baselines_open_no_pull_request(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The measured figures equal the accepted ones."""
    measured(project, "baselines/nvidia-h200/a.json", b"{}\n")

    assert run(project, monkeypatch) == 0
    assert capsys.readouterr().out == (
        "::notice title=diffopt::the measured figures equal the accepted ones: nothing to propose\n"
    )
    assert not (project / "bin/asked").exists()


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("baselines/run.sh", b"", "a baseline must be a file that ends with .json, .png, .safetensors, got: "),
        ("baselines/a.json", b"{", "a baseline must be valid JSON, got: "),
        (
            "baselines/a.png",
            b"x" * (16 * 1024 * 1024 + 1),
            "a baseline must have at most 16777216 bytes, got: 16777217 in ",
        ),
    ],
)
def test_other_files_are_refused(  # noqa: PLR0913, PLR0917 - pytest's fixtures and three parameters
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    content: bytes,
    problem: str,
) -> None:
    """A runner runs code of pull requests, so its artifacts are untrusted."""
    measured(project, name, content)

    assert run(project, monkeypatch) == 1
    assert capsys.readouterr().out.startswith(f"::error title=diffopt::{problem}")


def test_a_symlink_is_refused(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It could copy any file of the machine into the pull request."""
    link = project / "artifacts/report-h200/baselines/a.json"
    link.parent.mkdir(parents=True)
    link.symlink_to("/etc/hostname")

    assert run(project, monkeypatch) == 1
    assert "a baseline must be a file" in capsys.readouterr().out


def test_the_branch_of_a_fork_is_refused(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The token has no permission in the fork."""
    measured(project, "baselines/nvidia-h200/a.json")

    assert run(project, monkeypatch, base="") == 1
    assert capsys.readouterr().out == (
        "::error title=diffopt::cannot open a pull request to the branch of a fork: "
        "download the baselines from the artifacts\n"
    )
