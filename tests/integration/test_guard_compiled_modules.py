"""Compiled modules must be the ones that run: no compilation, a swapped module and an uncalled module fail."""

import pytest

from tests.integration.compiled_projects import run


@pytest.mark.parametrize(
    "assertion",
    [
        "assert_no_graph_breaks(optimized_pipeline, **pipeline_inputs)",
        "assert_no_recompiles(optimized_pipeline, [pipeline_inputs])",
    ],
)
def test_nothing_compiled_fails(own_pipeline: pytest.Pytester, assertion: str) -> None:
    """A pipeline without compiled modules has no breaks to count and must not pass."""
    result = run(
        own_pipeline,
        f"""
from pytest_diffopt import assert_no_graph_breaks, assert_no_recompiles

def test_it(optimized_pipeline, pipeline_inputs):
    {assertion}
""",
    )

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: nothing was compiled, so nothing was checked",
            "  watched since its first assertion, or since the optimized_pipeline fixture started",
            "seen in pipeline SmallPipeline (weights: the user's own)",
            "add compile to the recipe, or remove this assertion",
        ],
        consecutive=True,
    )


SWAPPED = """
import pytest
import small_pipeline
from pytest_diffopt import assert_no_recompiles

class Pipeline(small_pipeline.SmallPipeline):
    def __call__(self, prompt, **inputs):
        if prompt == "swap":
            self.unet = small_pipeline.SmallUNet()
            {compile}
        return super().__call__(prompt, **inputs)

@pytest.fixture
def optimized_pipeline():
    pipeline = small_pipeline.build(pipeline=Pipeline)
    pipeline.unet.compile(backend="eager")
    return pipeline

def test_swap(optimized_pipeline, pipeline_inputs):
    assert_no_recompiles(optimized_pipeline, [pipeline_inputs, pipeline_inputs | {{"prompt": "swap"}}])
"""


def test_a_module_that_is_swapped_after_warm_up_fails(own_pipeline: pytest.Pytester) -> None:
    """Nothing recompiles, because the replacement was never compiled."""
    result = run(own_pipeline, SWAPPED.format(compile=""))

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: 1 compiled module replaced by uncompiled code",
            "  unet was compiled at warm-up; its replacement is not compiled",
            "seen in 2 varied calls of pipeline Pipeline (weights: the user's own)",
            "compile the replacement before the first call",
        ],
        consecutive=True,
    )


def test_a_compiled_replacement_passes(own_pipeline: pytest.Pytester) -> None:
    """Both run the same compiled code."""
    result = run(own_pipeline, SWAPPED.format(compile='self.unet.compile(backend="eager")'))

    result.assert_outcomes(passed=1)


LATENTS = """
class Latents(small_pipeline.SmallPipeline):
    def __call__(self, prompt, **inputs):
        self.step(torch.zeros(1, 4, 16, 16), torch.ones(()), 1)

"""
UNUSED = """
import pytest, torch
import small_pipeline
from pytest_diffopt import assert_no_graph_breaks

@pytest.fixture
def optimized_pipeline():
    pipeline = small_pipeline.build()
    pipeline.unet.compile(backend="eager")
    pipeline.vae.decode = torch.compile(pipeline.vae.decode, backend="eager")
    {instead}
    return pipeline

def test_graph(optimized_pipeline, pipeline_inputs):
    assert_no_graph_breaks(optimized_pipeline, **pipeline_inputs)
"""


def test_a_vae_that_is_compiled_and_never_called_fails(own_pipeline: pytest.Pytester) -> None:
    """Its compiled method exists, but the pipeline calls another one."""
    text = UNUSED.format(instead="pipeline.__class__ = Latents")
    text = text.replace("@pytest.fixture", LATENTS + "@pytest.fixture", 1)
    result = run(own_pipeline, text)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: 1 compiled module is never called",
            "  vae.decode  (SmallVAE.decode)",
            "seen while compiling pipeline Latents (weights: the user's own), 1 frame compiled",
            "call this module in the test, or stop compiling it",
        ],
        consecutive=True,
    )


def test_a_vae_that_is_compiled_and_called_passes(own_pipeline: pytest.Pytester) -> None:
    """The compilation of both modules is watched."""
    result = run(own_pipeline, UNUSED.format(instead=""))

    result.assert_outcomes(passed=1)
