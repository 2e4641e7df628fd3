"""A user's pipeline: with one overridden fixture all assertions work."""

import pytest

OWN_CONFTEST = """
import pytest
import small_pipeline

@pytest.fixture(scope="module")
def optimized_pipeline():
    {build}

@pytest.fixture
def pipeline_inputs():
    return small_pipeline.inputs()
"""


def test_compilation_in_the_users_fixture_is_recorded(project: pytest.Pytester) -> None:
    """Code that compiles in the fixture, before the test runs, belongs to the pipeline."""
    project.makeconftest(
        OWN_CONFTEST.format(
            build="""
    class UNet(small_pipeline.SmallUNet):
        def forward(self, latents, timestep):
            print("drawing")
            return super().forward(latents, timestep)

    pipeline = small_pipeline.build(UNet)
    pipeline.unet.compile(backend="eager")
    pipeline(**small_pipeline.inputs())
    return pipeline
"""
        )
    )
    project.makepyfile(
        test_it="""
from pytest_diffopt import assert_no_graph_breaks

def test_one_graph(optimized_pipeline, pipeline_inputs):
    assert_no_graph_breaks(optimized_pipeline, **pipeline_inputs)
"""
    )
    result = project.runpytest_inprocess()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["diffopt: 1 graph break (0 allowed)", "  conftest.py:9  in forward", '    print("drawing")'],
        consecutive=True,
    )


def test_the_markers_recipe_applies_to_a_users_pipeline(own_pipeline: pytest.Pytester) -> None:
    """`diffopt_recipe` is the marker's recipe; `apply` works on any pipeline, and verdicts name it."""
    own_pipeline.makepyfile(
        test_it="""
import pytest
import small_pipeline
from pytest_diffopt import assert_optimizations_applied

@pytest.fixture
def optimized_pipeline(diffopt_recipe):
    return diffopt_recipe.apply(small_pipeline.build())

@pytest.mark.diffopt(recipe=["bf16", "channels_last"])
def test_applied(optimized_pipeline):
    assert_optimizations_applied(optimized_pipeline)
"""
    )
    result = own_pipeline.runpytest_inprocess("-v")

    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(
        [
            "passed  applied  SmallPipeline  bf16           bf16: 8 of 8 parameters are bfloat16",
            "passed  applied  SmallPipeline  channels_last  channels_last: 2 convolution weights are channels_last",
            "2 verdicts: 2 passed",
        ],
        consecutive=True,
    )


def test_inputs_that_are_not_overridden_are_an_error(project: pytest.Pytester) -> None:
    """The message names the fixtures to override together."""
    project.makepyfile(
        test_it="""
import pytest
import small_pipeline
from pytest_diffopt import assert_repeatable

@pytest.fixture
def optimized_pipeline():
    return small_pipeline.build()

def test_repeatable(optimized_pipeline, pipeline_inputs):
    assert_repeatable(optimized_pipeline, **pipeline_inputs)
"""
    )
    result = project.runpytest_inprocess()

    result.assert_outcomes(errors=1)
    assert (
        "diffopt: the marker must name the pipeline: @pytest.mark.diffopt(pipeline=...); "
        "or override optimized_pipeline, pipeline_inputs and pipeline_variations with your own" in result.outlines
    )


RAISES = """
import pytest
import small_pipeline
from pytest_diffopt import assert_no_graph_breaks, assert_no_recompiles, assert_no_syncs, assert_repeatable

class Pipeline(small_pipeline.SmallPipeline):
    steps = 0

    def step(self, latents, timestep, num_inference_steps):
        self.steps += 1
        if self.steps == 3:
            raise ArithmeticError("the scheduler diverged")
        return super().step(latents, timestep, num_inference_steps)

@pytest.fixture
def optimized_pipeline():
    return small_pipeline.build(pipeline=Pipeline)

def test_it(optimized_pipeline, pipeline_inputs):
    try:
        {assertion}
    finally:
        assert "progress_bar" not in vars(optimized_pipeline)
        assert optimized_pipeline.device.type == "cpu"
"""


@pytest.mark.parametrize(
    ("assertion", "concern"),
    [
        ("assert_no_graph_breaks(optimized_pipeline, **pipeline_inputs)", "graph breaks"),
        ("assert_no_recompiles(optimized_pipeline, [pipeline_inputs])", "recompiles"),
        ("assert_no_syncs(optimized_pipeline, **pipeline_inputs)", "syncs"),
        ("assert_repeatable(optimized_pipeline, **pipeline_inputs)", "repeatability"),
    ],
)
def test_an_exception_of_the_pipeline_propagates_with_a_note(
    own_pipeline: pytest.Pytester, assertion: str, concern: str
) -> None:
    """The exception keeps its type and line, a note adds the step and the probe, and the pipeline is restored."""
    own_pipeline.makepyfile(test_it=RAISES.format(assertion=assertion))
    result = own_pipeline.runpytest_inprocess()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E*ArithmeticError: the scheduler diverged",
            (
                f"E*diffopt: raised in denoise step 2 while measuring {concern}, "
                "pipeline Pipeline (weights: the user's own)"
            ),
            "*test_it.py:11: ArithmeticError",
        ]
    )
    result.stdout.no_fnmatch_line("*AssertionError*")
    result.stdout.no_fnmatch_line("*pytest_diffopt/api/assertions.py:*")
    result.stdout.no_fnmatch_line("*pytest_diffopt/probes/calls.py:*")


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (
            (
                "def progress_bar(self, iterable=None, total=None): raise AssertionError\n"
                "    def __call__(self, **inputs): return None"
            ),
            (
                "no denoise loop: Pipeline never opened pipeline.progress_bar(...): "
                "open it around the loop, or pass a callable that is one step"
            ),
        ),
        (
            "def __call__(self, **inputs):\n        with self.progress_bar(total=3): return None",
            "no denoise step was finished: Pipeline opened its progress bar but never called update() on it",
        ),
    ],
    ids=["never opened", "never updated"],
)
def test_a_pipeline_without_a_denoise_loop_is_an_error(
    own_pipeline: pytest.Pytester, method: str, message: str
) -> None:
    """A guard without a watched step must not pass; the message explains how the loop is found."""
    own_pipeline.makepyfile(
        test_it=f"""
import small_pipeline
from pytest_diffopt import assert_no_syncs

class Pipeline(small_pipeline.SmallPipeline):
    {method}

def test_never_syncs():
    assert_no_syncs(small_pipeline.build(pipeline=Pipeline), prompt="a red circle")
"""
    )
    result = own_pipeline.runpytest_inprocess()

    result.assert_outcomes(failed=1)
    assert f"diffopt: {message}" in result.outlines
    result.stdout.no_fnmatch_line("*pytest_diffopt/*")


def test_assertions_take_a_bare_function(project: pytest.Pytester) -> None:
    """Assertions that need no denoise loop accept any callable."""
    project.makepyfile(
        test_it="""
import torch
from pytest_diffopt import assert_no_graph_breaks, assert_no_recompiles, assert_repeatable

def double(x):
    return x * 2

def test_it():
    compiled = torch.compile(double, backend="eager", dynamic=True)
    assert_no_graph_breaks(compiled, torch.ones(3, 3))
    assert_no_recompiles(compiled, [{"x": torch.ones(3, 3)}, {"x": torch.zeros(3, 3)}])
    assert_repeatable(compiled, torch.ones(3, 3))
"""
    )
    result = project.runpytest_inprocess("-v")

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["3 verdicts: 3 passed"])


def test_no_variations_are_an_error(own_pipeline: pytest.Pytester) -> None:
    """An empty list would always pass."""
    own_pipeline.makepyfile(
        test_it="""
from pytest_diffopt import assert_no_recompiles

def test_it(optimized_pipeline):
    assert_no_recompiles(optimized_pipeline, [])
"""
    )
    result = own_pipeline.runpytest_inprocess()

    result.assert_outcomes(failed=1)
    assert "diffopt: assert_no_recompiles needs at least one call to make, got: no variations" in result.outlines
