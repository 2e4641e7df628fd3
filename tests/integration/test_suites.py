"""A fault injected into diffusers fails the affected cases of the suites, and no other."""

import shutil
from pathlib import Path

import pytest

SUITES = Path(__file__).parents[2] / "suites"
SCHEDULER_READS = """
import pytest
from diffusers import DPMSolverMultistepScheduler

@pytest.fixture(autouse=True)
def one_more_sync(monkeypatch):
    step = DPMSolverMultistepScheduler.step

    def reading_step(self, model_output, timestep, sample, **rest):
        largest = model_output.abs().max().item()
        return step(self, model_output, timestep, sample, **rest)

    monkeypatch.setattr(DPMSolverMultistepScheduler, "step", reading_step)
"""


def test_a_sync_in_one_scheduler_fails_only_its_cases(project: pytest.Pytester) -> None:
    """For an injected `.item()` in one scheduler's step, the failures show its file and line."""
    shutil.copy(SUITES / "test_schedulers.py", project.path)
    project.makeconftest(SCHEDULER_READS)
    result = project.runpytest_inprocess("--tb=short", "-k", "DPMSolverMultistep or EulerDiscrete", "-W", "ignore")

    failed = sorted(line for line in result.outlines if line.startswith("FAILED"))
    assert [line.split("[")[1].split("]")[0] for line in failed] == [
        "DPMSolverMultistepScheduler",
        "DPMSolverMultistepScheduler",
    ]
    result.stdout.fnmatch_lines(
        [
            "diffopt: the denoise loop synchronizes the CPU with the GPU: 1 sync per step (0 allowed)",
            "  1/step  .item()  conftest.py:9  in reading_step  (read by the host)",
            "                   largest = model_output.abs().max().item()",
            "seen on the simulated GPU, steps 0-5 of 6, pipeline StableDiffusionXLPipeline (weights: the user's own)",
        ]
    )


def test_a_print_in_the_unet_fails_the_graph_break_guard(project: pytest.Pytester) -> None:
    """An injected print in the UNet's mid block breaks the graph; the message shows its line."""
    project.makepyfile(
        test_it="""
        import pytest
        from diffusers.models.unets.unet_2d_blocks import UNetMidBlock2DCrossAttn
        from pytest_diffopt import assert_no_graph_breaks

        pytestmark = pytest.mark.diffopt(pipeline="sdxl", recipe="fp32 + compile(target=['denoiser'], backend='eager')")

        @pytest.fixture(autouse=True, scope="session")
        def chatty():
            forward = UNetMidBlock2DCrossAttn.forward

            def chatty_forward(self, *args, **kwargs):
                print("in the middle")
                return forward(self, *args, **kwargs)

            UNetMidBlock2DCrossAttn.forward = chatty_forward
            yield
            UNetMidBlock2DCrossAttn.forward = forward

        def test_one_graph(optimized_pipeline, pipeline_inputs):
            assert_no_graph_breaks(optimized_pipeline, **pipeline_inputs)
        """
    )
    result = project.runpytest_inprocess("--tb=short", "-W", "ignore")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: 1 graph break (0 allowed)",
            "  test_it.py:12  in chatty_forward",
            '    print("in the middle")',
            "    Failed to trace builtin operator  (GB0059)",
        ],
        consecutive=True,
    )
