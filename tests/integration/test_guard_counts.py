"""One operation more than accepted fails, counted on the simulated GPU."""

import pytest

COUNTS = """
import pytest
import small_pipeline

class Pipeline(small_pipeline.SmallPipeline):
    def step(self, latents, timestep, num_inference_steps):
        latents = super().step(latents, timestep, num_inference_steps)
        {line}
        return latents

@pytest.fixture
def optimized_pipeline():
    return small_pipeline.build(pipeline=Pipeline)

def test_counts(optimized_pipeline, pipeline_inputs, count_baseline):
    count_baseline.check(optimized_pipeline, **pipeline_inputs)
"""
PLAIN = "latents = latents + 1"


def run(project: pytest.Pytester, line: str, *options: str) -> pytest.RunResult:
    """Run one test that counts a pipeline whose step ends in a line."""
    project.makepyfile(test_it=COUNTS.format(line=line))
    return project.runpytest_inprocess("--tb=short", *options)


def test_a_missing_baseline_fails(own_pipeline: pytest.Pytester) -> None:
    """Counts without a baseline guard nothing."""
    result = run(own_pipeline, PLAIN)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: no counts baseline has been accepted: * TFLOP, * operations, peak *",
            "seen on the simulated GPU, pipeline Pipeline (weights: the user's own)",
            "to accept it: pytest test_it.py::test_counts --diffopt-update missing",
        ],
        consecutive=True,
    )


def test_the_same_call_passes(own_pipeline: pytest.Pytester) -> None:
    """Counts are exact."""
    run(own_pipeline, PLAIN, "--diffopt-update=missing")
    result = run(own_pipeline, PLAIN)

    result.assert_outcomes(passed=1)


def test_one_operation_more_fails(own_pipeline: pytest.Pytester) -> None:
    """An operation more in each step is shown with old and new figures for the steps concerned."""
    run(own_pipeline, PLAIN, "--diffopt-update=missing")
    result = run(own_pipeline, "latents = (latents + 1) * 2")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: the counts differ from the accepted ones",
            "  step 0     operations 8 -> 9 (+12.5 %)",
            "  step 0     allocated_bytes 66,048 -> 70,144 (+6.2 %)",
            "  steps 1-2  operations 8 -> 9 (+12.5 %)",
            "  steps 1-2  allocated_bytes 66,048 -> 70,144 (+6.2 %)",
            "  in outside modules  operations 12 -> 15 (+25.0 %)",
            "seen on the simulated nvidia-h200, pipeline Pipeline (weights: the user's own)",
            "to accept this: pytest test_it.py::test_counts --diffopt-update all",
        ],
        consecutive=True,
    )


def test_one_operation_fewer_fails_until_it_is_accepted(own_pipeline: pytest.Pytester) -> None:
    """A gain that is not accepted could be lost again unnoticed."""
    run(own_pipeline, "latents = (latents + 1) * 2", "--diffopt-update=missing")
    result = run(own_pipeline, PLAIN)
    accepting = run(own_pipeline, PLAIN, "--diffopt-update=all")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: the counts improved",
            "to keep the gain: pytest test_it.py::test_counts --diffopt-update all",
        ]
    )
    accepting.assert_outcomes(passed=1)


def test_counting_leaves_the_pipeline_unchanged(own_pipeline: pytest.Pytester) -> None:
    """It is on the CPU afterwards, with the same weights."""
    own_pipeline.makepyfile(
        test_it="""
        def test_counts(optimized_pipeline, pipeline_inputs, count_baseline):
            before = [weight.data_ptr() for weight in optimized_pipeline.unet.parameters()]

            count_baseline.check(optimized_pipeline, **pipeline_inputs)

            assert before == [weight.data_ptr() for weight in optimized_pipeline.unet.parameters()]
            assert optimized_pipeline.device.type == "cpu"
        """
    )
    result = own_pipeline.runpytest_inprocess("--diffopt-update=missing")

    result.assert_outcomes(passed=1)


STORED = """
import pytest

@pytest.mark.diffopt(pipeline="sd15", recipe="bf16 + layerwise_casting")
def test_counts(optimized_pipeline, pipeline_inputs, count_baseline):
    count_baseline.check(optimized_pipeline, **pipeline_inputs)
"""


def test_weights_in_another_dtype_than_the_precision_are_accepted(project: pytest.Pytester) -> None:
    """`bf16` is verified for the parameters that layerwise casting did not take over."""
    project.makepyfile(test_it=STORED)
    accepting = project.runpytest_inprocess("--diffopt-update=missing")
    result = project.runpytest_inprocess()

    accepting.assert_outcomes(passed=1)
    result.assert_outcomes(passed=1)


LOST = """
import pytest, torch

@pytest.mark.diffopt(pipeline="sd15", recipe="channels_last")
def test_counts(optimized_pipeline, pipeline_inputs, count_baseline):
    {line}
    count_baseline.check(optimized_pipeline, **pipeline_inputs)
"""
LOSES = "optimized_pipeline.unet.to(memory_format=torch.contiguous_format)"


def test_lower_counts_without_an_optimization_are_not_accepted(project: pytest.Pytester) -> None:
    """NCHW weights need no conversion to NHWC, but channels_last is what the recipe asks for."""
    project.makepyfile(test_it=LOST.format(line=""))
    accepting = project.runpytest_inprocess("--diffopt-update=missing")
    project.makepyfile(test_it=LOST.format(line=LOSES))
    result = project.runpytest_inprocess()
    updating = project.runpytest_inprocess("--diffopt-update=all")

    accepting.assert_outcomes(passed=1)
    for one in (result, updating):
        one.assert_outcomes(failed=1)
        one.stdout.no_fnmatch_line("*to keep the gain*")
    result.stdout.fnmatch_lines(
        [
            "diffopt: the counts fell while an optimization is not applied",
            "  not applied: channels_last: * convolution weights of unet are NCHW",
            "seen on the simulated nvidia-h200, pipeline sd15 *",
            "fix how it is applied, or remove it from the recipe; until then no counts are accepted",
        ]
    )
