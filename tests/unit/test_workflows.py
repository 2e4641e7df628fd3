"""Workflows follow the security rules of this repository, and run make targets."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml

from pytest_diffopt.reports.writing import write_report
from tests.unit.reports.report_examples import full_report

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
ACTIONS = [ROOT / "action.yml", ROOT / "benchmarks/atlas/action.yml"]
PINNED = re.compile(r"^[\w.-]+/[\w./-]+@[0-9a-f]{40}$")


def content(path: Path) -> dict[Any, Any]:
    """Return the content of a YAML file."""
    return dict(yaml.safe_load(path.read_text(encoding="utf-8")))


def steps(path: Path) -> Iterator[dict[str, Any]]:
    """Yield every step of every job."""
    for job in content(path)["jobs"].values():
        yield from job["steps"]


def test_all_workflows_are_checked() -> None:
    """The other tests iterate over this list."""
    assert [path.name for path in WORKFLOWS] == ["baselines.yml", "ci.yml", "gpu.yml", "release.yml"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: str(path.stem))
def test_a_workflow_has_no_default_permissions_and_one_concurrent_run(path: Path) -> None:
    """Each job declares its permissions and a timeout."""
    workflow = content(path)

    assert workflow["permissions"] == {}
    assert workflow["concurrency"]["group"]
    assert all(job["permissions"] and job["timeout-minutes"] for job in workflow["jobs"].values())


@pytest.mark.parametrize("path", [*WORKFLOWS, *ACTIONS], ids=lambda path: f"{path.parent.name} {path.stem}")
def test_every_action_is_pinned_to_a_commit_with_a_version_comment(path: Path) -> None:
    """A tag can be moved; the comment is for readers."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if re.match(r"\s*(?:- )?uses: ", line)]

    for line in lines:
        action, _, version = line.split("uses: ")[1].partition(" # ")
        assert PINNED.match(action)
        assert re.fullmatch(r"v\d+\.\d+\.\d+", version)
    assert lines


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: str(path.stem))
def test_a_checkout_keeps_no_token(path: Path) -> None:
    """Later steps could use it."""
    checkouts = [step for step in steps(path) if str(step.get("uses", "")).startswith("actions/checkout@")]

    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: str(path.stem))
def test_shell_steps_run_make_targets(path: Path) -> None:
    """Every step of CI can be run locally."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for step in steps(path):
        if "run" in step:
            words = step["run"].replace("--directory trusted ", "").split()
            assert words[0] == "make"
            assert words[1] in targets


def test_a_job_that_runs_code_of_a_pull_request_is_read_only() -> None:
    """A job with write permission runs only code of main."""
    for name in ("gpu", "baselines"):
        jobs = content(ROOT / f".github/workflows/{name}.yml")["jobs"].values()
        for job in jobs:
            text = yaml.safe_dump(job)
            is_self_hosted = "self-hosted" in str(job["runs-on"])
            can_write = "write" in job["permissions"].values()

            assert not (is_self_hosted and can_write)
            assert is_self_hosted <= (job["permissions"] == {"contents": "read"})
            assert "secrets." not in text


def triggers(path: Path) -> set[str]:
    """Return the events that start a workflow; YAML reads its key `on` as true."""
    return set(content(path)[True])


def test_no_workflow_is_started_with_secrets_by_a_stranger() -> None:
    """Such as `pull_request_target`, `issue_comment` and `workflow_run`, which run with the permissions of main."""
    started = set().union(*map(triggers, WORKFLOWS))

    assert started == {"push", "pull_request", "workflow_dispatch"}
    assert [path.stem for path in WORKFLOWS if "pull_request" in triggers(path)] == ["ci"]


def test_a_workflow_of_pull_requests_reads_only() -> None:
    """It runs the code of anybody."""
    jobs = content(ROOT / ".github/workflows/ci.yml")["jobs"].values()

    assert all(job["permissions"] == {"contents": "read"} for job in jobs)
    assert "self-hosted" not in (ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", [*WORKFLOWS, ROOT / "action.yml"], ids=lambda path: str(path.stem))
def test_no_value_becomes_part_of_a_script(path: Path) -> None:
    """Neither of the shell, by an expression, nor of make, which expands `$(shell ...)` on its command line."""
    found = content(path)
    of_actions = found["runs"]["steps"] if "runs" in found else list(steps(path))
    scripts = [step["run"] for step in of_actions if "run" in step]

    assert scripts
    assert not [script for script in scripts if "${{" in script]
    of_make = [word for script in scripts if script.startswith("make") for word in script.split()]
    assert [word for word in of_make if re.match(r"[A-Z_]+=.*\$", word)] == []


def test_nothing_is_cached_between_runs() -> None:
    """Code of a pull request that runs on a runner can take the job's credentials for the cache of main."""
    for path in WORKFLOWS:
        text = path.read_text(encoding="utf-8")

        assert "actions/cache" not in text
        assert "cache:" not in text


def test_a_comment_is_written_from_the_report_and_posts_no_file() -> None:
    """The runner's own Markdown is not downloaded into a job that can write; the token is not there at installation."""
    found = content(ROOT / ".github/workflows/gpu.yml")["jobs"]["post"]["steps"]
    scripts = [(step["run"], sorted(step.get("env", {}))) for step in found if "run" in step]

    assert scripts == [
        ("make comment-environment", []),
        ("make comment", ["GH_TOKEN", "KEY", "LINK", "PULL_REQUEST", "REPORT"]),
    ]


def test_jobs_that_can_write_run_what_needs_only_the_standard_library() -> None:
    """All but the comment, which reads a report."""
    for name in ("request", "propose"):
        command = [sys.executable, "-S", "-c", f"import tools.github.{name}"]
        subprocess.run(command, cwd=ROOT, check=True)


def test_the_status_depends_on_the_reports_of_all_runners() -> None:
    """The merge expects one report per runner, and the status needs the merge."""
    jobs = content(ROOT / ".github/workflows/gpu.yml")["jobs"]
    (merge,) = [step for step in jobs["report"]["steps"] if "make merge" in str(step.get("run"))]

    assert merge["env"] == {"EXPECT": "${{ needs.permission.outputs.num-runners }}"}
    assert "report" in jobs["status"]["needs"]
    assert "needs.report.result == 'success'" in jobs["status"]["steps"][-1]["env"]["STATE"]


def action_step(name: str) -> dict[str, Any]:
    """Return the step of the action with this name."""
    (step,) = [step for step in content(ROOT / "action.yml")["runs"]["steps"] if step.get("name") == name]
    return dict(step)


def in_bash(name: str, folder: Path, **environment: str) -> str:
    """Run a step of the action as GitHub does, and return its output."""
    bash = shutil.which("bash")
    assert bash is not None
    command = [bash, "-e", "-o", "pipefail", "-c", action_step(name)["run"]]
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    done = subprocess.run(command, env=inherited | environment, cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout


def test_the_action_installs_the_tested_versions(tmp_path: Path) -> None:
    """For what the project has not installed, and for what builds the package."""
    shown = tmp_path / "python"
    shown.write_text(
        f'#!/bin/sh\ncase $1 in -m) printf \'%s\\n\' "$@" "$PIP_CONSTRAINT";; *) exec {sys.executable} "$@";; esac\n'
    )
    shown.chmod(0o755)
    file = tmp_path / "constraints of diffopt.txt"
    output = in_bash(
        "Install pytest-diffopt", tmp_path, PYTHON=str(shown), ACTION_PATH=str(ROOT), PIP_CONSTRAINT=str(file)
    )

    arguments = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    assert output.splitlines() == [*arguments, str(ROOT), str(file)]
    written = file.read_text(encoding="utf-8").splitlines()
    assert f"pytest=={version('pytest')}" in written
    assert any(line.startswith("hatchling==") for line in written)
    environment = action_step("Install pytest-diffopt")["env"]
    assert environment["PIP_BUILD_CONSTRAINT"] == environment["PIP_CONSTRAINT"]


def test_the_action_links_each_check_to_the_page_that_it_uploaded(tmp_path: Path) -> None:
    """The page is a separate artifact under the report's name, which a browser opens."""
    folder = tmp_path / "diffopt"
    folder.mkdir()
    write_report(folder, full_report())
    in_bash("Name the page", tmp_path, RUNNER_TEMP=str(tmp_path), REPORT="a report")
    urls = {"PAGE": "https://github.com/o/n/actions/runs/1/artifacts/3", "REPORT": "https://github.com/o/n/2"}
    in_bash(
        "Show the summary",
        tmp_path,
        PYTHON=sys.executable,
        RUNNER_TEMP=str(tmp_path),
        GITHUB_STEP_SUMMARY=str(tmp_path / "page"),
        **urls,
    )
    summary = (tmp_path / "page").read_text(encoding="utf-8")

    assert (tmp_path / "a report.html").read_bytes() == (folder / "index.html").read_bytes()
    assert action_step("Upload the page")["with"] == {
        "path": "${{ runner.temp }}/${{ inputs.report }}.html",
        "archive": False,
        "if-no-files-found": "ignore",
    }
    assert summary.startswith("## diffopt: failed\n")
    assert '<a href="https://github.com/o/n/actions/runs/1/artifacts/3#case-1">' in summary
    assert summary.endswith("\n[Download the report with its images](https://github.com/o/n/2)\n")


def test_without_a_report_the_action_writes_no_summary(tmp_path: Path) -> None:
    """The session ended before its tests, and printed the reason."""
    in_bash("Name the page", tmp_path, RUNNER_TEMP=str(tmp_path), REPORT="report")
    in_bash(
        "Show the summary",
        tmp_path,
        PYTHON="false",
        RUNNER_TEMP=str(tmp_path),
        GITHUB_STEP_SUMMARY=str(tmp_path / "page"),
        PAGE="",
        REPORT="",
    )

    assert list(tmp_path.iterdir()) == []


def test_the_action_passes_its_inputs_unchanged(tmp_path: Path) -> None:
    """A space does not split an argument, and the shell does not evaluate it."""
    shown = tmp_path / "python"
    shown.write_text('#!/bin/sh\nprintf "%s\\n" "$@" "page: $GITHUB_STEP_SUMMARY"\n')
    shown.chmod(0o755)
    inputs = {
        "PYTHON": str(shown),
        "RUNNER_TEMP": str(tmp_path / "runner temp"),
        "GITHUB_STEP_SUMMARY": "the page of the run",
        "GPU": "true",
        "REQUIRE": "gpu>=20, latency>=3",
        "BASE": "",
        "ARGUMENTS": "-k\nsyncs or counts\n$(touch stolen)",
        "TESTS": "tests/test a.py",
    }
    output = in_bash("Run the gate", tmp_path, **inputs)

    assert output.splitlines() == [
        "-m",
        "pytest",
        f"--diffopt-report={tmp_path}/runner temp/diffopt",
        f"--diffopt-summary={tmp_path}/runner temp/diffopt/summary.md",
        f"--junit-xml={tmp_path}/runner temp/diffopt/junit.xml",
        "--diffopt-gpu",
        "--diffopt-require=gpu>=20, latency>=3",
        "-k",
        "syncs or counts",
        "$(touch stolen)",
        "tests/test a.py",
        "page: ",
    ]
    assert set(action_step("Run the gate")["env"]) == inputs.keys() - {"RUNNER_TEMP", "GITHUB_STEP_SUMMARY"}
