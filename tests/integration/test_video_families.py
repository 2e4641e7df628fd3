"""Faults of video's own kind are caught in a built-in pipeline with two denoisers, as in a user's own."""

import pytest

CASE = """
import pytest
from pytest_diffopt import assert_optimizations_applied, assert_same_images
from pytest_diffopt.pipelines.scale import Scale
from pytest_diffopt.pipelines.wan import WAN_T2V_A14B

pytestmark = pytest.mark.diffopt(recipe='{recipe}')
INPUTS = WAN_T2V_A14B.inputs(Scale.TINY)

def build(*order):
    pipeline = WAN_T2V_A14B.build_tiny()
    pipeline.set_progress_bar_config(disable=True)
    decode = pipeline.vae.decode
    if order:
        pipeline.vae.decode = lambda *args, **kwargs: (decode(*args, **kwargs)[0][:, :, list(order)],)
    return pipeline

@pytest.fixture
def optimized_pipeline():
    pipeline = build({order})
    {change}
    return pipeline

@pytest.fixture
def reference_pipeline():
    return build()

def test_it(optimized_pipeline, reference_pipeline):
    {call}
"""
SAME = "assert_same_images(optimized_pipeline, reference_pipeline, **INPUTS)"
APPLIED = "assert_optimizations_applied(optimized_pipeline, **INPUTS)"


def run(
    project: pytest.Pytester, *, order: str = "", change: str = "pass", call: str = SAME, recipe: str = "fp32"
) -> pytest.RunResult:
    """Run one assertion."""
    project.makepyfile(test_it=CASE.format(order=order, change=change, call=call, recipe=recipe))
    return project.runpytest_inprocess("-W", "ignore")


def test_the_same_video_passes(project: pytest.Pytester) -> None:
    """The frames in their order, with the published boundary."""
    run(project, order="0, 1, 2, 3, 4, 5, 6, 7, 8").assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("fault", "line"),
    [
        (
            {"order": "0, 1, 2, 4, 5, 6, 7, 8"},
            "  8 frames (9 in the reference): frame 3 of the reference is missing",
        ),
        ({"order": "0, 1, 2, 4, 3, 5, 6, 7, 8"}, "  *frames 3 and 4 are swapped*"),
        (
            {"change": "pipeline.register_to_config(boundary_ratio=0.7)"},
            "  step 2 ran transformer, and transformer_2 in the reference",
        ),
        (
            {
                "change": 'pipeline.transformer.compile(backend="eager")',
                "call": APPLIED,
                "recipe": 'fp32 + compile(target=["denoiser"])',
            },
            "    missing: transformer_2 is not compiled",
        ),
    ],
    ids=["one frame dropped", "two frames swapped", "boundary off by one step", "second denoiser eager"],
)
def test_a_fault_fails_by_name(project: pytest.Pytester, fault: dict[str, str], line: str) -> None:
    """Frames and steps are counted from 0."""
    result = run(project, **fault)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([line])
