"""Blocks that cannot run in tests are parsed: commands, workflows, settings and links."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import pytest_diffopt
from pytest_diffopt.plugin.gpu_option import lengthen_gpu_option
from tests.integration.documentation.commands import commands_of, links_into_the_repository, problems
from tests.integration.documentation.pages import BLOCKS, PAGES, ROOT, Block, place

ACTION = "pytest-diffopt/pytest-diffopt@"
ACTIONLINT = Path(sys.executable).with_name("actionlint")


def of(language: str) -> list[Block]:
    """Return all blocks in a language."""
    return [block for block in BLOCKS if block.language == language]


@pytest.fixture
def parse_for_pytest(pytestconfig: pytest.Config) -> Callable[[list[str]], object]:
    """Return a function that parses arguments as pytest does in a project without a `--gpu` of its own."""

    def parse(arguments: list[str]) -> object:
        lengthened = list(arguments)
        lengthen_gpu_option(pytestconfig._parser, lengthened)
        return pytestconfig._parser.parse(lengthened)

    return parse


@pytest.mark.parametrize("block", of("console"), ids=place)
def test_a_command_is_valid(block: Block, parse_for_pytest: Callable[[list[str]], object]) -> None:
    """Its options, files and make targets exist."""
    found = [problem for words in commands_of(block) for problem in problems(words, parse_for_pytest=parse_for_pytest)]

    assert commands_of(block)
    assert found == []


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        (["pytest", "--diffopt-updat"], "cannot be parsed"),
        (["pytest", "suites/test_nothing.py"], "there is no suites/test_nothing.py"),
        (["make", "gat"], "no target gat"),
        (["make", "gate", "PYTEST_ARG=-v"], "no variable PYTEST_ARG"),
        (["python", "-m", "pytest_diffopt", "profil"], "cannot be parsed"),
        (["python", "-m", "benchmarks.nothing"], "there is no benchmarks.nothing"),
        (["python", "-m", "benchmarks.injected_faults", "--marked"], "has no --marked"),
        (["python", "-c", "from torchvision import"], "cannot be parsed"),
        (["pip", "install", "pytest-diffopt[gpus]"], "no extra gpus"),
        (["gh", "workflow", "run", "gpu.yml", "-f", "pull=1"], "no input pull"),
        (["rm", "-rf", "/"], "no check exists"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_an_invalid_command_is_found(
    command: list[str], problem: str, parse_for_pytest: Callable[[list[str]], object]
) -> None:
    """The checks of `test_a_command_is_valid` detect each kind of error."""
    found = list(problems(command, parse_for_pytest=parse_for_pytest))

    assert problem in "\n".join(found)


@pytest.mark.parametrize("block", of("toml"), ids=place)
def test_settings_are_known(block: Block, pytestconfig: pytest.Config) -> None:
    """Pytest or the plugin defines each ini name."""
    names = tomllib.loads(block.text)["tool"]["pytest"]["ini_options"]

    assert [name for name in names if name not in pytestconfig._parser._inidict] == []


@pytest.mark.parametrize("block", of("yaml"), ids=place)
def test_a_workflow_is_valid(block: Block, tmp_path: Path) -> None:
    """Actionlint accepts it; a partial workflow is completed first."""
    path = tmp_path / "workflow.yml"
    path.write_text(yaml.safe_dump(whole_workflow(yaml.safe_load(block.text))), encoding="utf-8")
    labels = ["-ignore", 'label ".+" is unknown']  # labels of the reader's own runners
    done = subprocess.run(
        [str(ACTIONLINT), "-no-color", *labels, str(path)], capture_output=True, text=True, check=False
    )

    assert done.stdout + done.stderr == ""


@pytest.mark.parametrize("block", [block for block in of("yaml") if ACTION in block.text], ids=place)
def test_our_action_is_used_with_existing_inputs(block: Block) -> None:
    """`action.yml` defines the inputs."""
    known = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))["inputs"]
    (job,) = whole_workflow(yaml.safe_load(block.text))["jobs"].values()
    (ours,) = [step for step in job["steps"] if step.get("uses", "").startswith(ACTION)]

    assert [name for name in ours.get("with", {}) if name not in known] == []


def in_the_repository(path: str) -> Path:
    """Return the location of a file; the package may be installed elsewhere."""
    return (Path(pytest_diffopt.__file__).parents[1] if path.startswith("pytest_diffopt/") else ROOT) / path


def whole_workflow(content: Any) -> dict[Any, Any]:
    """Complete steps, or a part of a job, to a workflow."""
    if isinstance(content, dict) and "jobs" in content:
        # YAML 1.1 reads `on` as true
        return {"on" if key is True else key: value for key, value in content.items()}
    part = {"steps": content} if isinstance(content, list) else content
    job = {"runs-on": "ubuntu-latest", "steps": [{"run": "make gate"}]} | part
    return {"on": "push", "jobs": {"gate": job}}


@pytest.mark.parametrize("page", PAGES, ids=place)
def test_the_targets_of_links_exist(page: Path) -> None:
    """GitHub links into the repository and relative links; MkDocs also checks links between pages of docs/."""
    text = page.read_text(encoding="utf-8")
    beside = [name for name in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", text) if not name.startswith("http")]

    assert [path for path in links_into_the_repository(page) if not in_the_repository(path).exists()] == []
    assert [name for name in beside if not (page.parent / name).exists()] == []
