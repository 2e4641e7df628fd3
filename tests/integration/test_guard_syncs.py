"""A wait inside the denoise loop is seen without a GPU, and told with its line."""

import pytest

NO_SYNCS = """
import pytest
import small_pipeline
import torch
from pytest_diffopt import AllowedSyncs, assert_no_syncs

class Pipeline(small_pipeline.SmallPipeline):
    def step(self, latents, timestep, num_inference_steps):
        {line}
        return super().step(latents, timestep, num_inference_steps)

@pytest.fixture
def optimized_pipeline():
    return small_pipeline.build(pipeline=Pipeline)

def test_never_waits(optimized_pipeline, pipeline_inputs):
    assert_no_syncs(optimized_pipeline, {allow}**pipeline_inputs)
    assert optimized_pipeline.device.type == "cpu"
"""
ALLOWED = 'allow_syncs=[AllowedSyncs(where="test_it.py:step", per_step={}, reason="reads the noise")], '


def run(project: pytest.Pytester, line: str, allow: str = "") -> pytest.RunResult:
    """Run the test on a pipeline with this line in its loop."""
    project.makepyfile(test_it=NO_SYNCS.format(line=line, allow=allow))
    return project.runpytest_inprocess()


@pytest.mark.parametrize(
    ("line", "operation", "kind"),
    [
        ("latents = latents * latents.mean().item()", ".item()", "read by the host"),
        ("latents = latents + torch.tensor(1.0).to(latents.device)", "*", "copy from the host"),
    ],
)
def test_a_wait_in_every_step_is_red(own_pipeline: pytest.Pytester, line: str, operation: str, kind: str) -> None:
    """How often a step, what waits, where, on what it was seen, and what to write when it is wanted."""
    result = run(own_pipeline, line)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: the CPU waits for the GPU in the denoise loop: 1 time a step (up to 0 allowed)",
            f"  1/step  {operation}  test_it.py:8  in step  ({kind})",
            f"  *{line}",
            "seen on the simulated GPU, steps 0-2 of 3, pipeline Pipeline (weights: the user's own)",
            'if this is wanted: allow_syncs=[[]AllowedSyncs(where="test_it.py:step", per_step=1, reason="...")[]]',
        ],
        consecutive=True,
    )


@pytest.mark.parametrize(
    ("line", "allow"),
    [
        ("latents = latents * latents.mean()", ""),
        ("latents = latents * latents.mean().item()", ALLOWED.format(1)),
    ],
    ids=["nothing waits", "accepted"],
)
def test_a_loop_that_waits_no_more_than_accepted_is_green(own_pipeline: pytest.Pytester, line: str, allow: str) -> None:
    """And after it the pipeline is back on the CPU."""
    run(own_pipeline, line, allow).assert_outcomes(passed=1)


def test_an_allowance_that_nothing_uses_is_red(own_pipeline: pytest.Pytester) -> None:
    """Otherwise the wait could come back unseen; the reason that was given is shown."""
    result = run(own_pipeline, "pass", ALLOWED.format(1))

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: 1 allowance for waits no longer needed",
            "  test_it.py:step waits no more; it was allowed because: reads the noise",
            "seen on the simulated GPU, pipeline Pipeline (weights: the user's own)",
            "take it out of allow_syncs, or lower it, so that the wait cannot come back unseen",
        ],
        consecutive=True,
    )


def test_an_allowance_larger_than_needed_is_red(own_pipeline: pytest.Pytester) -> None:
    """Fewer waits are an improvement that must be kept."""
    result = run(own_pipeline, "latents = latents * latents.mean().item()", ALLOWED.format(2))

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["  test_it.py:step waits less often now: 1/step (up to 2 allowed)"])


def test_a_wait_outside_of_the_loop_is_none(own_pipeline: pytest.Pytester) -> None:
    """Reading the finished picture must wait; only the loop must not."""
    result = run(own_pipeline, "pass")

    result.assert_outcomes(passed=1)
