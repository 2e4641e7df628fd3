"""The five tests of `docs/getting-started/own-pipeline.md` have true verdicts for pipelines unlike that of the page."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "getting-started" / "own-pipeline.md"
PLAIN = '{"prompt": "a red circle", "num_inference_steps": 3}'

OWN_LOOP = """
import torch
from diffusers import DDIMScheduler, DiffusionPipeline, UNet2DModel
from diffusers.pipelines.pipeline_utils import ImagePipelineOutput

class OwnLoop(DiffusionPipeline):
    # A model of diffusers in a loop over the timesteps, without a progress bar and with timesteps on the CPU.
    def __init__(self, unet, scheduler):
        super().__init__()
        self.register_modules(unet=unet, scheduler=scheduler)

    @torch.no_grad()
    def __call__(self, prompt, num_inference_steps, generator=None):
        latents = torch.randn(1, 3, 16, 16, generator=generator).to(self.device) + len(prompt) / 100
        self.scheduler.set_timesteps(num_inference_steps)
        for timestep in self.scheduler.timesteps:
            latents = self.scheduler.step(self.unet(latents, timestep).sample, timestep, latents).prev_sample
            {in_step}
        return ImagePipelineOutput(images=latents.clamp(0, 1).permute(0, 2, 3, 1).cpu().numpy())

def build_my_pipeline():
    torch.manual_seed(0)
    unet = UNet2DModel(
        sample_size=16, block_out_channels=(8, 8), layers_per_block=1, norm_num_groups=2, attention_head_dim=4,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"), up_block_types=("AttnUpBlock2D", "UpBlock2D"),
    )
    return OwnLoop(unet, DDIMScheduler())
"""
SANA = """
from pytest_diffopt.pipelines.sana import SANA
from pytest_diffopt.pipelines.scale import Scale

PLAIN = SANA.inputs(Scale.TINY).varied("", num_inference_steps=3)

def build_my_pipeline():
    pipeline = SANA.build_tiny()
    pipeline.set_progress_bar_config(disable=True)
    return pipeline
"""


def five_tests(project: pytest.Pytester, pipelines: str, *, denoiser: str = "unet", plain: str = PLAIN) -> None:
    """Write the set-up and the five tests of the page, for another pipeline."""
    blocks = re.findall(r"```python\n# (\w+\.py)\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    (_conftest, fixtures), (_tests, tests) = blocks[:2]
    fixtures = fixtures.replace("pipeline.unet.", f"pipeline.{denoiser}.").replace(PLAIN, plain)
    fixtures = fixtures.replace("import build_my_pipeline", "import *")
    for name, text in (("my_pipelines.py", pipelines), ("conftest.py", fixtures), ("test_five.py", tests)):
        (project.path / name).write_text(text, encoding="utf-8")


def run(project: pytest.Pytester) -> pytest.RunResult:
    """Run the tests, and accept the counts."""
    return project.runpytest_inprocess("-v", "-W", "ignore", "--diffopt-update=missing")


def test_a_users_loop_around_a_model_of_diffusers(project: pytest.Pytester) -> None:
    """All pass but the syncs: the model copies each timestep from the CPU, which is so on a GPU as well."""
    five_tests(project, OWN_LOOP.format(in_step="pass"))
    result = run(project)

    result.assert_outcomes(passed=4, failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: the denoise loop synchronizes the CPU with the GPU: 1 sync per step (0 allowed)",
            "  1/step  .to()  diffusers/models/unets/unet_2d.py:*  in forward  (copy from the host)",
            "passed     graph breaks   OwnLoop    0 graph breaks in 1 compiled frame; unet: 1 compile",
            "passed     recompiles     OwnLoop    0 recompiles in 3 varied calls",
            "regressed  syncs          OwnLoop    1 sync in the first step, up to 1 in each later one",
            "passed     repeatability  OwnLoop    equal bits",
            "passed     counts         OwnLoop    *",
        ]
    )


def test_a_fault_in_a_users_loop_is_added_to_its_syncs(project: pytest.Pytester) -> None:
    """The fault is in a loop that has no bar."""
    five_tests(project, OWN_LOOP.format(in_step="latents.sum().item()"))
    result = run(project)

    result.assert_outcomes(passed=4, failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: the denoise loop synchronizes the CPU with the GPU: 2 syncs per step (0 allowed)",
            "  1/step  .item()  my_pipelines.py:*  in __call__ *",
        ]
    )


def test_a_pipeline_of_today_with_a_transformer(project: pytest.Pytester) -> None:
    """Its scheduler looks up the first timestep, which is the only sync."""
    five_tests(project, SANA, denoiser="transformer", plain="PLAIN")
    result = run(project)

    result.assert_outcomes(passed=4, failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: the denoise loop synchronizes the CPU with the GPU: 2 syncs in the first step (0 allowed)",
            "passed     graph breaks   SanaPipeline    0 graph breaks in 1 compiled frame; transformer: 1 compile",
            "regressed  syncs          SanaPipeline    2 syncs in the first step, up to 0 in each later one",
        ]
    )
