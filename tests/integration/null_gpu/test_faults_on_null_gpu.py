"""Injected faults on the null GPU: each makes exactly the right guards fail, and each clean counterpart passes."""

import pytest

from tests.integration.null_gpu.conftest import Run

PROJECT = """
import os
import pytest
import torch
import small_pipeline
from pytest_diffopt import assert_no_syncs, assert_repeatable, assert_same_images

INJECTED = os.environ["INJECTED"] == "yes"

class Clean(small_pipeline.SmallPipeline):
    def __init__(self, unet, vae):
        super().__init__(unet, vae)
        unet.ballast, vae.ballast = (torch.nn.Linear(1024, 2048, bias=False) for _ in range(2))

class Item(Clean):
    def step(self, latents, timestep, num_inference_steps):
        if INJECTED and latents.mean().item() > 1e6:
            return latents
        return super().step(latents, timestep, num_inference_steps)

class Kept(Clean):
    def step(self, latents, timestep, num_inference_steps):
        vars(self).setdefault("kept", [])
        if INJECTED:
            self.kept.append(latents.repeat(16, 16, 8, 8))
        return super().step(latents, timestep, num_inference_steps)

class Captured(Clean):
    def step(self, latents, timestep, num_inference_steps):
        if not INJECTED:
            return super().step(latents, timestep, num_inference_steps)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            scale = latents.abs().max().item()
        return latents / scale

class OffloadedVAE(small_pipeline.SmallVAE):
    def forward(self, latents):
        return super().decode(latents)

    def decode(self, latents):
        return self(latents)

class Offloaded(Clean):
    model_cpu_offload_seq = "unet->vae"
    device = torch.device("cuda")

    def __init__(self, unet, vae):
        vae.__class__ = OffloadedVAE  # offload hooks surround `forward`
        super().__init__(unet, vae)

    def __call__(self, **inputs):
        result = super().__call__(**inputs)
        self.maybe_free_model_hooks()
        return result

KINDS = {kind.__name__.lower(): kind for kind in (Clean, Item, Kept, Captured, Offloaded)}

@pytest.fixture(scope="module", params=KINDS)
def optimized_pipeline(request):
    pipeline = small_pipeline.build(pipeline=KINDS[request.param])
    if INJECTED or request.param != "offloaded":
        return pipeline.to("cuda")
    pipeline.enable_model_cpu_offload()
    return pipeline

@pytest.fixture(scope="module")
def reference_pipeline():
    return small_pipeline.build().to("cuda")

@pytest.fixture
def inputs():
    return small_pipeline.inputs()

def test_syncs(optimized_pipeline, inputs):
    assert_no_syncs(optimized_pipeline, **inputs)

def test_memory(optimized_pipeline, inputs, memory_baseline):
    memory_baseline.check(optimized_pipeline, **inputs)

def test_images(optimized_pipeline, reference_pipeline, inputs):
    assert_same_images(optimized_pipeline, reference_pipeline, **inputs)

def test_repeatable(optimized_pipeline, inputs):
    assert_repeatable(optimized_pipeline, **inputs)
"""
GUARDS = {"test_syncs", "test_memory", "test_images", "test_repeatable"}


def test_each_fault_fails_its_guards(
    run_on_null_gpu: Run, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`.item()`: syncs; a kept tensor and a lost offload: memory; a sync while a stream captures: every call."""
    pytester.makepyfile(test_it=PROJECT)
    monkeypatch.setenv("INJECTED", "no")
    clean = run_on_null_gpu("--diffopt-null-gpu", "--diffopt-update=missing")
    clean.assert_outcomes(passed=5 * len(GUARDS))

    monkeypatch.setenv("INJECTED", "yes")
    faulty = run_on_null_gpu("--diffopt-null-gpu", "-rf", "--tb=short")
    failed = {line.split()[1].partition("::")[2] for line in faulty.outlines if line.startswith("FAILED")}

    assert failed == {"test_syncs[item]", "test_memory[kept]", "test_memory[offloaded]"} | {
        f"{guard}[captured]" for guard in GUARDS
    }
    faulty.stdout.fnmatch_lines_random(
        [
            "diffopt: the denoise loop synchronizes the CPU with the GPU: 1 sync per step (0 allowed)",
            "*1/step  .item()  test_it.py:*  in step  (cudaStreamSynchronize)",
            "*if INJECTED and latents.mean().item() > 1e6:",
            "seen on the null NVIDIA H200, steps 0-2 of 3, pipeline Item (weights: the user's own)",
            "diffopt: the memory peak grew by *",
            "seen on null NVIDIA H200 by torch's caching allocator on the null GPU, pipeline Kept *",
            "  held at the peak, by the line that allocated it:",
            "    192 MiB   test_it.py:*  self.kept.append(latents.repeat(16, 16, 8, 8))",
            "seen on null NVIDIA H200 by torch's caching allocator on the null GPU, pipeline Offloaded *",
            "  48.0 MiB of it was held before the call: weights, libraries' workspaces, what earlier calls kept",
            "test_it.py:*: in step",
            "*scale = latents.abs().max().item()",
            "E   *operation not permitted when stream is capturing",
        ]
    )
