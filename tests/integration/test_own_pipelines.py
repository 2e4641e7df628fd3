"""The examples of `docs/own-pipelines.md` run as shown."""

import re
from pathlib import Path

import pytest

from pytest_diffopt.pipelines import registry

PAGE = Path(__file__).parents[2] / "docs" / "own-pipelines.md"
MY_PIPELINES = """
import small_pipeline

def build_my_pipeline():
    return small_pipeline.build()
"""


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Isolate the registry from the pipelines of a conftest."""
    monkeypatch.setattr(registry, "_FAMILIES", dict(registry._FAMILIES))
    monkeypatch.setattr(registry, "_REGISTERED_AT", {})


def example(project: pytest.Pytester, heading: str) -> None:
    """Write the files of one section of the page into the project."""
    section = PAGE.read_text(encoding="utf-8").split(f"## {heading}\n")[1].split("\n## ")[0]
    blocks = re.findall(r"```python\n# (\w+\.py)\n(.*?)```", section, flags=re.DOTALL)
    assert [name for name, _text in blocks] == ["conftest.py", "test_mine.py"]
    for name, text in [*blocks, ("my_pipelines.py", MY_PIPELINES)]:
        (project.path / name).write_text(text, encoding="utf-8")


def test_a_pipeline_can_be_registered_as_documented(project: pytest.Pytester) -> None:
    """Test ids have the same form as for this package's pipelines; the pipeline is built once per recipe."""
    example(project, "Register it")
    result = project.runpytest_inprocess("-v", "-W", "ignore", "--setup-show")

    names = [line.split(" ")[0] for line in result.outlines if line.startswith("test_mine.py::")]
    result.assert_outcomes(passed=6)
    assert "test_mine.py::test_image[mine-bf16]" in names
    assert sum("SETUP    S optimized_pipeline" in line for line in result.outlines) == 2
    result.stdout.fnmatch_lines(["diffopt: mine (tiny): weights the user's own"])


def test_a_misspelt_name_of_a_registered_pipeline_is_reported(project: pytest.Pytester) -> None:
    """The closest known name can be the user's own."""
    example(project, "Register it")
    test = project.path / "test_mine.py"
    test.write_text(test.read_text().replace('"mine"', '"mne"'))
    result = project.runpytest_inprocess("-W", "ignore")

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*unknown pipeline: 'mne' (did you mean 'mine'?); known: *"])


def test_a_scale_that_was_not_registered_is_an_error(project: pytest.Pytester) -> None:
    """The message names the keyword that adds it; there is no traceback."""
    example(project, "Register it")
    result = project.runpytest_inprocess("-W", "ignore", "--diffopt-scale", "full", "-k", "applied and fp32")

    result.assert_outcomes(errors=1)
    assert (
        "diffopt: pipeline 'mine' has no full scale without weights: register it with build_random=..."
        in result.outlines
    )


def test_a_name_that_is_taken_is_an_error(project: pytest.Pytester) -> None:
    """The error at collection shows both places."""
    example(project, "Register it")
    conftest = project.path / "conftest.py"
    conftest.write_text(conftest.read_text().replace('"mine"', '"sdxl"'))
    result = project.runpytest_inprocess("-W", "ignore")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [f"*two pipelines have the name 'sdxl', one from pytest-diffopt itself, one from {conftest}:*: rename one of *"]
    )
