"""Compiled code in one file: a second process, whose own cache is empty, compiles nothing."""

from pathlib import Path

import pytest

ARTIFACTS = """
import pytest
import small_pipeline
from pytest_diffopt import assert_optimizations_applied, assert_optimizations_effective

RECIPE = 'compile_artifacts(file="kept.bin") + compile(target=["denoiser"], backend="inductor")'
pytestmark = pytest.mark.diffopt(recipe=RECIPE)

class UNet(small_pipeline.SmallUNet):
    def forward(self, latents, timestep):
        return super().forward(latents, timestep) {more}

def test_artifacts(diffopt_recipe, pipeline_inputs):
    pipeline = small_pipeline.build(UNet)
    diffopt_recipe.apply(pipeline)
    assert_optimizations_effective(pipeline, **pipeline_inputs)
    assert_optimizations_applied(pipeline)
"""


def run(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, cache: Path, *, more: str = "") -> pytest.RunResult:
    """Run the test in a process with an own, empty cache."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(cache))
    project.makepyfile(test_it=ARTIFACTS.format(more=more))
    return project.runpytest_subprocess("--tb=short", "-v")


@pytest.mark.usefixtures("warm_processes")
def test_a_second_process_compiles_nothing(
    own_pipeline: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It loads the graph from the file; changed code is compiled although the file was loaded, and fails."""
    first = run(own_pipeline, monkeypatch, tmp_path / "first")
    second = run(own_pipeline, monkeypatch, tmp_path / "second")
    changed = run(own_pipeline, monkeypatch, tmp_path / "second", more="* 2")

    first.assert_outcomes(passed=1)
    first.stdout.fnmatch_lines(["*: 1 compiled graphs that are in kept.bin*"])
    second.assert_outcomes(passed=1)
    second.stdout.fnmatch_lines(["*: 1 compiled graphs that kept.bin saved*"])
    changed.assert_outcomes(failed=1)
    changed.stdout.fnmatch_lines(
        [
            '  compile_artifacts(file="kept.bin"): 0 compiled graphs that kept.bin saved',
            "    lacking: 1 of 1 graphs were compiled, although the file was loaded",
        ]
    )


def test_without_inductor_nothing_is_kept(own_pipeline: pytest.Pytester) -> None:
    """A backend that only traces stores no code: the effect is unwatched, and the file is not written."""
    own_pipeline.makepyfile(test_it=ARTIFACTS.format(more="").replace('"inductor"', '"eager"'))
    result = own_pipeline.runpytest_inprocess("--tb=short")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: the effect of 1 optimization cannot be seen in this call",
            '  compile_artifacts(file="kept.bin"): Inductor compiled nothing: without a GPU, or with another backend, '
            "compiled code is only traced",
        ]
    )
    assert not (own_pipeline.path / "kept.bin").exists()


def test_a_file_that_is_no_compiled_code_is_refused(own_pipeline: pytest.Pytester) -> None:
    """In one sentence, with the file."""
    (own_pipeline.path / "kept.bin").write_bytes(b"something else")
    own_pipeline.makepyfile(test_it=ARTIFACTS.format(more=""))
    result = own_pipeline.runpytest_inprocess("--tb=short")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["diffopt: compile_artifacts cannot load kept.bin: torch * does not read it; remove the file"]
    )


def test_it_needs_a_file() -> None:
    """And not a folder of its own beside it."""
    from pytest_diffopt import parse_recipe  # noqa: PLC0415 - imports torch
    from pytest_diffopt.errors import RecipeError  # noqa: PLC0415 - imported with it

    with pytest.raises(RecipeError, match=r"compile_artifacts\(file=...\) must name a file, got: ''"):
        parse_recipe("compile_artifacts + compile")
    with pytest.raises(RecipeError, match="both keep compiled code: in one file, or in a folder"):
        parse_recipe('compile_cache(folder="a") + compile_artifacts(file="b") + compile')
