"""`diffopt(batch=...)` sets the number of images per call."""

import pytest

from pytest_diffopt.pipelines import registry

REGISTERED = """
import small_pipeline
from pytest_diffopt import register_pipeline

register_pipeline("mine", inputs={"prompt": "p"}, build_tiny=small_pipeline.build, largest_batch=4)
"""
SHOWS_BATCH = """
import pytest

@pytest.mark.diffopt(pipeline="mine", recipe="fp32", batch=BATCH)
def test_it(pipeline_inputs):
    print("images:", pipeline_inputs.get("num_images_per_prompt"), repr(pipeline_inputs.label))
"""


@pytest.fixture
def batch_project(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Return a project with a registered pipeline, isolated from other tests."""
    monkeypatch.setattr(registry, "_FAMILIES", dict(registry._FAMILIES))
    monkeypatch.setattr(registry, "_REGISTERED_AT", {})
    project.makeconftest(REGISTERED)
    return project


def test_each_batch_is_a_case(batch_project: pytest.Pytester) -> None:
    """The ids show the batch, and the call gets it as a keyword; the plain call draws one image."""
    batch_project.makepyfile(test_it=SHOWS_BATCH.replace("BATCH", "[1, 4]"))
    result = batch_project.runpytest_inprocess("-v", "-s")

    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(
        ["*::test_it[[]mine-batch1] images: None ''", "*::test_it[[]mine-batch4] images: 4 'batch 4'"]
    )


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ("0", "@pytest.mark.diffopt(batch=...) takes a number of images or a list of them, got: 0"),
        ("'4'", "@pytest.mark.diffopt(batch=...) takes a number of images or a list of them, got: '4'"),
        ("[]", "@pytest.mark.diffopt(batch=...) takes a number of images or a list of them, got: []"),
        ("True", "@pytest.mark.diffopt(batch=...) takes a number of images or a list of them, got: True"),
        ("16", "pipeline 'mine' generates at most 4 images per call, got: batch=16"),
    ],
)
def test_an_invalid_batch_is_an_error(batch_project: pytest.Pytester, batch: str, message: str) -> None:
    """The error at collection names the test and has no traceback."""
    batch_project.makepyfile(test_it=SHOWS_BATCH.replace("BATCH", batch))
    result = batch_project.runpytest_inprocess()

    result.assert_outcomes(errors=1)
    assert f"diffopt: test_it.py::test_it: {message}" in result.outlines


def test_a_size_that_cannot_be_drawn_is_an_error(project: pytest.Pytester) -> None:
    """The pipeline does not run; the message shows the nearest valid size."""
    project.makepyfile(
        test_it="""
        import pytest
        from pytest_diffopt import assert_repeatable

        @pytest.mark.diffopt(pipeline="sd15", recipe="fp32")
        def test_it(optimized_pipeline, pipeline_inputs):
            assert_repeatable(optimized_pipeline, **pipeline_inputs.varied("odd", height=65))
        """
    )
    result = project.runpytest_inprocess("-W", "ignore")

    result.assert_outcomes(failed=1)
    assert (
        "diffopt: height must be a multiple of 8 pixels for StableDiffusionPipeline "
        "(its VAE has 4 pixels per latent), got: 65; the nearest is 64"
    ) in result.outlines
