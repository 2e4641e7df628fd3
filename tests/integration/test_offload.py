"""Pipelines and modules with offload run on the simulated GPU: a read fails, and the syncs of the hooks do not."""

import json
from pathlib import Path

import pytest

PIPELINE = """
import pytest
import torch
from diffusers import ImagePipelineOutput
from diffusers.utils.accelerate_utils import apply_forward_hook
from pytest_diffopt import PipelineInputs, assert_no_syncs
from pytest_diffopt.simulated_gpu import SimulatedGPU
from small_pipeline import SmallPipeline, SmallUNet, SmallVAE

INPUTS = PipelineInputs({"prompt": "a"})
HOST = torch.device("cpu")

class VAE(SmallVAE):
    _group_offload_block_modules = ["conv"]

    @apply_forward_hook
    def decode(self, latents):
        return super().decode(latents)

class Pipeline(SmallPipeline):
    model_cpu_offload_seq = "unet->vae"

    @property
    def device(self):
        return self._execution_device_of_hooks if self._is_called else super().device

    _is_called = False

    @torch.no_grad()
    def __call__(self, **inputs):
        self._execution_device_of_hooks = self._execution_device
        self._is_called = True
        try:
            return super().__call__(**inputs)
        finally:
            self._is_called = False
            self.maybe_free_model_hooks()

class Reading(Pipeline):
    def step(self, latents, timestep, num_inference_steps):
        latents = super().step(latents, timestep, num_inference_steps)
        latents.abs().max().item()
        return latents

def build(pipeline):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return pipeline(unet=SmallUNet(), vae=VAE())

def whole(pipeline):
    pipeline.enable_model_cpu_offload(device=HOST)

def sequential(pipeline):
    pipeline.enable_sequential_cpu_offload(device=HOST)

def block(pipeline):
    pipeline.enable_group_offload(HOST, offload_type="block_level", num_blocks_per_group=1)

def leaf(pipeline):
    pipeline.enable_group_offload(HOST, offload_type="leaf_level")

def only_unet(pipeline):
    pipeline.unet.enable_group_offload(HOST, offload_type="leaf_level")

def stream(pipeline, **options):
    with SimulatedGPU() as gpu:
        pipeline.enable_group_offload(gpu.device, offload_type="leaf_level", use_stream=True, **options)

def record_stream(pipeline):
    stream(pipeline, record_stream=True)

def low_cpu_mem_usage(pipeline):
    stream(pipeline, low_cpu_mem_usage=True)
"""
TESTS = """
def test_reading():
    pipeline = build(Reading)
    OFFLOAD(pipeline)
    assert_no_syncs(pipeline, **INPUTS)

def test_clean():
    pipeline = build(Pipeline)
    OFFLOAD(pipeline)
    assert_no_syncs(pipeline, **INPUTS)
    assert_no_syncs(pipeline, **INPUTS)
"""
# The UNet has 3 layers of 2 parameters, in bytes:
UNET = (16 * 4 * 9 + 16 + 16 + 16 + 4 * 16 * 9 + 4) * 4


@pytest.mark.parametrize(
    ("offload", "cost"),
    [
        ("whole", "6 syncs in step 0, 4.70 KiB to the GPU, 0 B to the host"),
        ("sequential", "6 syncs in step 0, 4.70 KiB to the GPU, 0 B to the host"),
        ("block", "12 syncs in step 0, 4.70 KiB to the GPU, 4.70 KiB to the host"),
        ("leaf", "12 syncs in step 0, 4.70 KiB to the GPU, 4.70 KiB to the host"),
        ("only_unet", "12 syncs in step 0, 4.70 KiB to the GPU, 4.70 KiB to the host"),
        ("stream", "12 syncs in step 0, 4.70 KiB to the GPU, 0 B to the host"),
        ("record_stream", "9 syncs in step 0, 4.70 KiB to the GPU, 0 B to the host"),
        ("low_cpu_mem_usage", "12 syncs in step 0, 4.70 KiB to the GPU, 0 B to the host"),
    ],
)
def test_a_read_fails_under_offload(project: pytest.Pytester, offload: str, cost: str) -> None:
    """As without offload, and a clean pipeline passes, twice; the syncs of the hooks are printed beside the verdict."""
    project.makepyfile(test_it=PIPELINE + TESTS.replace("OFFLOAD", offload))
    result = project.runpytest_inprocess("-v")

    result.assert_outcomes(failed=1, passed=1)
    line = 1 + PIPELINE.strip().splitlines().index("        latents.abs().max().item()")
    result.stdout.fnmatch_lines(
        [
            "diffopt: the denoise loop synchronizes the CPU with the GPU: 1 sync per step (0 allowed)",
            f"  1/step  .item()  test_it.py:{line}  in step  (read by the host)",
            "                   latents.abs().max().item()",
            f"  offload hooks, not counted: {cost}",
            "seen on the simulated GPU, steps 0-2 of 3, pipeline Reading (weights: the user's own)",
            'to accept this: allow_syncs=[AllowedSyncs(where="test_it.py:step", per_step=1, reason="...")]',
        ],
        consecutive=True,
    )
    result.stdout.fnmatch_lines([f"passed * syncs *0 syncs in 3 steps; offload hooks, not counted: {cost}"])


def test_a_layer_that_block_offload_leaves_on_the_host_raises_as_on_a_gpu(project: pytest.Pytester) -> None:
    """The hook that would move it is in `forward`, which `decode` does not call: CUDA raises the same error.

    A note names the layer and what to do.
    """
    without_blocks = PIPELINE.replace('    _group_offload_block_modules = ["conv"]\n', "")
    assert without_blocks != PIPELINE
    project.makepyfile(test_it=without_blocks + TESTS.replace("OFFLOAD", "block"))
    result = project.runpytest_inprocess("-k", "clean")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E *RuntimeError: Expected all tensors to be on the same device, but found at least two devices, "
            "privateuseone:0 and cpu! (when running aten.convolution.default)",
            "E *diffopt: raised after 3 finished denoise steps while measuring syncs, pipeline Pipeline *",
            "E *diffopt: block-level group offload moves conv of vae only in its forward, which decode does not call: "
            'offload it with offload_type="leaf_level", or leave it out with exclude_modules="vae"',
        ],
        consecutive=True,
    )


def test_a_pipeline_is_as_before(project: pytest.Pytester) -> None:
    """Its next plain call, on the user's device, draws the same image; its hooks are the same objects."""
    project.makepyfile(
        test_it=PIPELINE
        + """
# accelerate's sequential offload of a pipeline runs on no CPU: it moves weights to "cpu:0", which copies them.
@pytest.mark.parametrize("offload", [whole, block, leaf])
def test_plain(offload):
    pipeline = build(Pipeline)
    offload(pipeline)
    plain = lambda: pipeline(prompt="a", generator=torch.Generator().manual_seed(0)).images
    first = plain()
    hooks = pipeline.unet.__dict__.get("_hf_hook"), pipeline.unet.__dict__.get("_diffusers_hook")
    device = pipeline.__dict__.get("_offload_device")
    assert_no_syncs(pipeline, **INPUTS)
    assert hooks == (pipeline.unet.__dict__.get("_hf_hook"), pipeline.unet.__dict__.get("_diffusers_hook"))
    assert device == pipeline.__dict__.get("_offload_device")
    assert (plain() == first).all()
"""
    )
    result = project.runpytest_inprocess()

    result.assert_outcomes(passed=3)


def test_counts_and_memory_of_offload_are_accepted_and_guarded(project: pytest.Pytester) -> None:
    """Bytes over the bus of each step, and the peak; without offload both differ from what was accepted."""
    project.makepyfile(
        test_it=PIPELINE
        + """
import os

@pytest.mark.parametrize("gate", ["count_baseline", "memory_baseline"])
def test_it(request, gate):
    pipeline = build(Pipeline)
    if "WITHOUT_OFFLOAD" not in os.environ:
        leaf(pipeline)
    request.getfixturevalue(gate).check(pipeline, **INPUTS)
"""
    )
    accepted = project.runpytest_inprocess("--diffopt-update", "missing")
    again = project.runpytest_inprocess()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WITHOUT_OFFLOAD", "1")
        without = project.runpytest_inprocess("-k", "count")

    accepted.assert_outcomes(passed=2)
    again.assert_outcomes(passed=2)
    without.assert_outcomes(failed=1)
    without.stdout.fnmatch_lines(
        [
            f"  step 0           bytes_to_device {UNET:,} -> 0 (-100.0 %)",
            f"  step 0           bytes_to_host {UNET:,} -> 0 (-100.0 %)",
            "  step 0           peak_memory_bytes 44,544 -> 49,664 (+11.5 %)",
        ]
    )


FULL_SIZE = """
import pytest

OFFLOADED = ["model_offload", "sequential_offload", "group_offload"]

@pytest.mark.diffopt(pipeline="bk-sdm", scale="full", recipe=["bf16", *(f"bf16 + {one}" for one in OFFLOADED)])
def test_counts(simulated_pipeline, pipeline_inputs, count_baseline):
    count_baseline.check(simulated_pipeline, **pipeline_inputs.varied("few steps", num_inference_steps=2))
"""


def test_a_published_pipeline_without_weights_is_offloaded(project: pytest.Pytester) -> None:
    """Each kind of offload lowers the peak: of one component, of a group of blocks, of one layer."""
    project.makepyfile(test_it=FULL_SIZE)
    result = project.runpytest_inprocess("--diffopt-update", "missing")

    result.assert_outcomes(passed=4)
    peaks = [
        _peak_bytes(project.path, recipe) for recipe in ("", "+model_offload", "+group_offload", "+sequential_offload")
    ]
    assert peaks == sorted(set(peaks), reverse=True)


def _peak_bytes(project: Path, recipe: str) -> int:
    (file,) = project.glob(f"baselines/simulated/**/*full-bf16{recipe}[]]*.json")
    phases: dict[str, dict[str, int]] = json.loads(file.read_text())["phases"]
    return max(phase["peak_memory_bytes"] for phase in phases.values())
