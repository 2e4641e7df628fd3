"""Measured baselines are proposed in a pull request, and other files are refused."""

import stat
import subprocess
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
    commit(tmp_path / "origin", {"baselines/nvidia-h200/a.json": "{}\n", "pipe.py": "code = 1\n"})
    git(tmp_path, "clone", "--quiet", str(tmp_path / "origin"), "project")
    gh = tmp_path / "bin/gh"
    gh.parent.mkdir()
    gh.write_text(GH.format(python=sys.executable))
    gh.chmod(gh.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{gh.parent}:/usr/bin:/bin")
    return tmp_path


def measured(project: Path, name: str, content: bytes = b'{"a": 1}\n', *, runner: str = "measured-h200") -> Path:
    """Write a file into the artifact of a runner."""
    path = project / "artifacts" / runner / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def run(project: Path, monkeypatch: pytest.MonkeyPatch, *, base: str = "main") -> int:
    """Propose the measured baselines."""
    checkout = f"--checkout={project / 'project'}"
    monkeypatch.setattr("sys.argv", ["propose", str(project / "artifacts"), checkout, f"--base={base}", *ARGUMENTS])
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
    assert asked[2:7] == ["pr", "create", "--base=main", f"--head={branch}", f"--title={title}"]
    assert asked[7:] == [
        "--body=a better kernel",
        "",
        "2 files. [The run that measured them, with its reports](https://example.org/run)",
        "",
    ]


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
    link = project / "artifacts/measured-h200/baselines/a.json"
    link.parent.mkdir(parents=True)
    link.symlink_to("/etc/hostname")

    assert run(project, monkeypatch) == 1
    assert "a baseline must be a file" in capsys.readouterr().out


def test_a_symlink_to_a_folder_is_not_followed(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nor as the folder of the baselines, nor below it."""
    (project / "other").mkdir()
    (project / "other/a.json").write_text("{}")
    for name in ("baselines", "baselines/below"):
        link = project / "artifacts/measured-h200" / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(project / "other")

        assert run(project, monkeypatch) == 1
        assert "a baseline must be a file that ends with" in capsys.readouterr().out
        link.unlink()


@pytest.mark.parametrize("name", ["a\n::error::.json", ".hidden.json", "a b.json", "@{0}`id`.json", "##[x].json"])
def test_an_odd_path_is_refused(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """It would be part of a title, a commit and the output of the job."""
    path = measured(project, f"baselines/{name}")

    assert run(project, monkeypatch) == 1
    problem = f"a baseline's path must have letters, digits and _+=,.()[]@~- only, got: {str(path)!r}"
    assert capsys.readouterr().out == f"::error title=diffopt::{problem}\n"


def test_no_file_of_the_checkout_is_run_or_written_through(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pull request has modules of the names that are imported, and a link where a baseline will be."""
    checkout, outside = project / "project", project / "outside.json"
    outside.write_text("untouched")
    stolen = "import pathlib\npathlib.Path('stolen').touch()\n"
    for name in ("tools/github/propose.py", "tools/__init__.py", "argparse.py", "json.py", "sitecustomize.py"):
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).write_text(stolen)
    (checkout / ".gitattributes").write_text("*.json text eol=crlf\n")
    (checkout / "baselines/nvidia-h200/link.json").symlink_to(outside)
    git(checkout, "add", "--all")
    git(checkout, "commit", "--quiet", "--message=links")
    measured(project, "baselines/nvidia-h200/link.json", b'{"b": 2}\n')
    values = {
        "ARTIFACTS": str(project / "artifacts"),
        "CHECKOUT": str(checkout),
        "BASE": "main",
        "IS_FORK": "false",
        "BRANCH": "baselines/of-1a2b3c4d5",
        "LINK": "https://example.org/run",
        "REASON": "$(shell touch stolen) `touch stolen` '; touch stolen; '",
        "PYTHON": f"{sys.executable} -S",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    command = ["make", "--silent", "--directory", str(Path(__file__).parents[4]), "propose-baselines"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=checkout)

    assert done.stdout == "https://example.org/pull/13\n"
    assert outside.read_text() == "untouched"
    assert not list(project.rglob("stolen"))
    branch = "baselines/of-1a2b3c4d5"
    assert git(project / "origin", "ls-tree", branch, "baselines/nvidia-h200/link.json").startswith("100644 blob ")
    assert git(project / "origin", "show", f"{branch}:baselines/nvidia-h200/link.json") == '{"b": 2}'
    assert values["REASON"] in git(project / "origin", "log", "-1", "--format=%B", branch)


def test_a_baseline_below_a_link_is_refused(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A link to a folder in the pull request leads nowhere in git's objects."""
    checkout = project / "project"
    (checkout / "baselines/nvidia-l4").symlink_to(project)
    git(checkout, "add", "--all")
    git(checkout, "commit", "--quiet", "--message=links")
    measured(project, "baselines/nvidia-l4/a.json")

    assert run(project, monkeypatch) == 1
    assert "baselines/nvidia-l4/a.json" in capsys.readouterr().out
    assert not (project / "a.json").exists()


def test_each_runner_brings_what_it_measured(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A runner sends all baselines; an old copy of one does not replace what another runner measured."""
    measured(project, "baselines/nvidia-h200/a.json", b'{"new": 1}\n', runner="measured-a")
    measured(project, "baselines/nvidia-h200/a.json", b"{}\n", runner="measured-b")

    assert run(project, monkeypatch) == 0
    shown = git(project / "origin", "show", "baselines/of-1a2b3c4d5:baselines/nvidia-h200/a.json")
    assert shown == '{"new": 1}'


def test_two_runners_that_measured_one_baseline_differently_are_refused(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither is preferred."""
    measured(project, "baselines/null-h200/a.json", b'{"new": 1}\n', runner="measured-a")
    measured(project, "baselines/null-h200/a.json", b'{"new": 2}\n', runner="measured-b")

    assert run(project, monkeypatch) == 1
    assert capsys.readouterr().out == (
        "::error title=diffopt::two runners measured baselines/null-h200/a.json differently: "
        "propose the baselines of one at a time\n"
    )


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
