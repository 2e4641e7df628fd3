"""The action changes nothing that a project has installed, and installs tested versions of everything else."""

import re
from pathlib import Path

from tools.github.constraints import constraints

ROOT = Path(__file__).parents[4]


def test_what_is_installed_stays_and_the_rest_is_as_tested() -> None:
    """Names are compared as package indexes do; the package itself is not constrained."""
    tested = ["# the tested versions", "torch==2.13.0", "typing_extensions==4.16.0", "", "pytest==9.2.0"]
    installed = {"torch": "2.11.0+cu128", "Typing.Extensions": "4.15.0", "own-project": "1.0", "pytest-diffopt": "0.1"}

    assert list(constraints(tested, installed)) == [
        "own-project==1.0",
        "pytest==9.2.0",
        "torch==2.11.0+cu128",
        "typing-extensions==4.15.0",
    ]


def test_every_dependency_has_a_tested_version() -> None:
    """Also what builds the package."""
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    block = project.partition("dependencies = [")[2].partition("\n]")[0]
    needed = [*re.findall(r'^  "([a-z0-9-]+)', block, re.MULTILINE), "hatchling"]
    pinned = list(constraints((ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines(), {}))

    assert len(needed) > 10
    assert [name for name in needed if not any(line.startswith(f"{name}==") for line in pinned)] == []
