"""Without the null GPU no kernel can be counted, which must not pass; `tests/unit/null_gpu` has the tests with it."""

import pytest

KERNELS = """
from pytest_diffopt import assert_fewer_kernels

def test_kernels(optimized_pipeline, pipeline_inputs, kernel_baseline):
    kernel_baseline.check(optimized_pipeline, **pipeline_inputs)

def test_fewer(optimized_pipeline, pipeline_inputs):
    assert_fewer_kernels(optimized_pipeline, optimized_pipeline, **pipeline_inputs)
"""


def test_pipeline_on_the_cpu_is_unwatched(own_pipeline: pytest.Pytester) -> None:
    """The hint is a command that counts; nothing is accepted."""
    own_pipeline.makepyfile(test_it=KERNELS)
    result = own_pipeline.runpytest_inprocess("--diffopt-update=missing")

    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        [
            "diffopt: no kernel can be counted on *: nothing was watched",
            "seen in pipeline SmallPipeline (weights: the user's own)",
            "kernels are counted on the null GPU, which needs a CUDA build of torch and no GPU: "
            "pytest test_it.py::test_kernels --diffopt-null-gpu",
            "*_ test_fewer _*",
            "diffopt: no kernel can be counted on *: nothing was watched",
            "seen in pipeline SmallPipeline (weights: the user's own)",
            "kernels are counted on the null GPU, which needs a CUDA build of torch and no GPU: "
            "pytest ... --diffopt-null-gpu",
            "*2 verdicts: 2 unwatched*",
        ]
    )
    assert not (own_pipeline.path / "baselines").exists()
