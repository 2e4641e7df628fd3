"""Our workflows keep to their habits, and what they run is what people run."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

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
