"""Our workflows keep to their habits, and what they run is what people run."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pytest_diffopt.reports.writing import write_report
from tests.unit.reports.report_examples import full_report

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
PINNED = re.compile(r"^[\w.-]+/[\w./-]+@[0-9a-f]{40}$")


def content(path: Path) -> dict[Any, Any]:
    """Read a file of YAML."""
    return dict(yaml.safe_load(path.read_text(encoding="utf-8")))


def steps(path: Path) -> Iterator[dict[str, Any]]:
    """Yield every step of every job."""
    for job in content(path)["jobs"].values():
        yield from job["steps"]


def test_they_are_all_there() -> None:
    """Or nothing below would look at them."""
    assert [path.name for path in WORKFLOWS] == ["baselines.yml", "ci.yml", "gpu.yml", "release.yml"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: str(path.stem))
def test_a_workflow_has_no_rights_and_one_run_at_a_time(path: Path) -> None:
    """Each job names the rights that it needs, and ends in time."""
    workflow = content(path)

    assert workflow["permissions"] == {}
    assert workflow["concurrency"]["group"]
    assert all(job["permissions"] and job["timeout-minutes"] for job in workflow["jobs"].values())


@pytest.mark.parametrize("path", [*WORKFLOWS, ROOT / "action.yml"], ids=lambda path: str(path.stem))
def test_every_action_is_pinned_with_its_version_beside_it(path: Path) -> None:
    """A tag can be moved; the comment is for people."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if re.match(r"\s*(?:- )?uses: ", line)]

    for line in lines:
        action, _, version = line.split("uses: ")[1].partition(" # ")
        assert PINNED.match(action)
        assert re.fullmatch(r"v\d+\.\d+\.\d+", version)
    assert lines


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: str(path.stem))
def test_a_checkout_keeps_no_token(path: Path) -> None:
    """What runs after it could use it."""
    checkouts = [step for step in steps(path) if str(step.get("uses", "")).startswith("actions/checkout@")]

    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: str(path.stem))
def test_shell_steps_are_targets_that_exist(path: Path) -> None:
    """Whatever CI does, somebody can do at home."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for step in steps(path):
        if "run" in step:
            words = step["run"].replace("--directory trusted ", "").split()
            assert words[0] == "make"
            assert words[1] in targets


def test_what_runs_the_code_of_a_pull_request_can_only_read() -> None:
    """And what can write checks out nothing but main."""
    for name in ("gpu", "baselines"):
        jobs = content(ROOT / f".github/workflows/{name}.yml")["jobs"].values()
        for job in jobs:
            text = yaml.safe_dump(job)
            is_ours = "self-hosted" in str(job["runs-on"])
            can_write = "write" in job["permissions"].values()

            assert not (is_ours and can_write)
            assert is_ours <= (job["permissions"] == {"contents": "read"})
            assert "secrets." not in text


def test_no_gpu_is_lost_on_the_way_to_the_status() -> None:
    """The reports of all GPUs are merged, as many as there are runners, and the status waits for that."""
    jobs = content(ROOT / ".github/workflows/gpu.yml")["jobs"]
    (merge,) = [step for step in jobs["report"]["steps"] if "make merge" in str(step.get("run"))]

    assert merge["run"].endswith('EXPECT="$EXPECT"')
    assert merge["env"] == {"EXPECT": "${{ needs.permission.outputs.num-runners }}"}
    assert "report" in jobs["status"]["needs"]
    assert "needs.report.result == 'success'" in jobs["status"]["steps"][-1]["env"]["STATE"]


def action_step(name: str) -> dict[str, Any]:
    """Return a step of the action."""
    (step,) = [step for step in content(ROOT / "action.yml")["runs"]["steps"] if step.get("name") == name]
    return dict(step)


def in_bash(name: str, folder: Path, **environment: str) -> str:
    """Run a step of the action as GitHub does, and return what it prints."""
    bash = shutil.which("bash")
    assert bash is not None
    command = [bash, "-e", "-o", "pipefail", "-c", action_step(name)["run"]]
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    done = subprocess.run(command, env=inherited | environment, cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout


def test_the_action_links_each_check_to_the_page_that_it_uploaded(tmp_path: Path) -> None:
    """The page is an artefact of its own, under the report's name, that a browser opens; nothing is written twice."""
    folder = tmp_path / "diffopt"
    folder.mkdir()
    write_report(folder, full_report())
    in_bash("Name the page", tmp_path, RUNNER_TEMP=str(tmp_path), REPORT="our report")
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

    assert (tmp_path / "our report.html").read_bytes() == (folder / "index.html").read_bytes()
    assert action_step("Keep the page")["with"] == {
        "path": "${{ runner.temp }}/${{ inputs.report }}.html",
        "archive": False,
        "if-no-files-found": "ignore",
    }
    assert summary.startswith("## diffopt: failed\n")
    assert '<a href="https://github.com/o/n/actions/runs/1/artifacts/3#case-1">' in summary
    assert summary.endswith("\n[The report with its images, to download](https://github.com/o/n/2)\n")


def test_the_action_shows_nothing_of_a_session_that_wrote_no_report(tmp_path: Path) -> None:
    """It ended before its tests, and says why in its own output."""
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


def test_the_action_hands_its_inputs_on_as_they_are(tmp_path: Path) -> None:
    """A blank does not split an argument, and nothing in it is run."""
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
    said = in_bash("Run the gate", tmp_path, **inputs)

    assert said.splitlines() == [
        "-m",
        "pytest",
        f"--diffopt-report={tmp_path}/runner temp/diffopt",
        f"--diffopt-summary={tmp_path}/runner temp/diffopt/summary.md",
        f"--junit-xml={tmp_path}/runner temp/diffopt/junit.xml",
        "--gpu",
        "--diffopt-require=gpu>=20, latency>=3",
        "-k",
        "syncs or counts",
        "$(touch stolen)",
        "tests/test a.py",
        "page: ",
    ]
    assert set(action_step("Run the gate")["env"]) == inputs.keys() - {"RUNNER_TEMP", "GITHUB_STEP_SUMMARY"}
