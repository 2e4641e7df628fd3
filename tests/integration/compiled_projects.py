"""Test files that compile a small pipeline, and functions that run them."""

import pytest

NO_BREAKS = """
import pytest
import small_pipeline
from pytest_diffopt import assert_no_graph_breaks

class UNet(small_pipeline.SmallUNet):
    def forward(self, latents, timestep):
        {line}
        return super().forward(latents, timestep)

@pytest.fixture
def optimized_pipeline():
    pipeline = small_pipeline.build(UNet)
    pipeline.unet.compile({options})
    return pipeline

def test_one_graph(optimized_pipeline, pipeline_inputs):
    assert_no_graph_breaks(optimized_pipeline, **pipeline_inputs)
"""
EAGER = 'backend="eager"'


def run(project: pytest.Pytester, text: str) -> pytest.RunResult:
    """Run one test file with short tracebacks."""
    project.makepyfile(test_it=text)
    return project.runpytest_inprocess("--tb=short")


def allowing(text: str) -> str:
    """Return the test file with an allowance for a print in `forward`."""
    allowance = 'AllowedGraphBreaks(where="test_it.py:forward", break_reason="GB0059", reason="prints progress")'
    text = text.replace("import assert_no_graph_breaks", "import AllowedGraphBreaks, assert_no_graph_breaks")
    return text.replace("**pipeline_inputs", f"allow_graph_breaks=[{allowance}], **pipeline_inputs")
