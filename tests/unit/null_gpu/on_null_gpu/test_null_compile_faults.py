"""Injected faults of compiled code: each changes the kernels, or the share of them inside CUDA graphs."""

import fnmatch
import re

import pytest

pytestmark = pytest.mark.filterwarnings("ignore")  # diffusers and torch of other versions than the suites'

PROJECT = """
import functools
import os

import pytest
import torch
import small_pipeline
from pytest_diffopt import parse_recipe

INJECTED = os.environ["INJECTED"] == "yes"
FAULT = ""
GRAPHS = ', mode="reduce-overhead"'

@torch.library.custom_op("diffopt_faults::scaled", mutates_args=())
def scaled(values: torch.Tensor) -> torch.Tensor:
    return values * 2

@scaled.register_fake
def _(values):
    return torch.empty_like(values)

@torch.library.custom_op("diffopt_faults::unsafe", mutates_args=(), tags=(torch.Tag.cudagraph_unsafe,))
def unsafe(values: torch.Tensor) -> torch.Tensor:
    return values * 2

@unsafe.register_fake
def _(values):
    return torch.empty_like(values)

class Gelu(torch.nn.Module):
    def forward(self, gate):
        gate = torch.nn.functional.gelu(gate)
        if FAULT == "print":
            print(gate.shape)
        if FAULT == "custom":
            gate = torch.ops.diffopt_faults.scaled(gate)
        return gate

class RMSNorm(torch.nn.Module):
    def __init__(self, size):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(size))

    def forward(self, hidden):
        if FAULT == "norm":
            return decomposed_norm(hidden, self.weight)
        return torch.nn.functional.rms_norm(hidden, self.weight.shape, self.weight)

@torch.compiler.disable
def decomposed_norm(hidden, weight):
    variance = hidden.float().pow(2).mean(-1, keepdim=True)
    return (hidden * torch.rsqrt(variance + 1e-6)).to(hidden.dtype) * weight

class Block(torch.nn.Module):
    def __init__(self, size=16):
        super().__init__()
        self.norm, self.into = RMSNorm(size), torch.nn.Linear(size, 2 * size)
        self.gelu, self.out = Gelu(), torch.nn.Linear(size, size)

    def forward(self, hidden):
        first, gate = self.into(self.norm(hidden)).chunk(2, dim=-1)
        return hidden + self.out(first * self.gelu(gate))

class UNet(small_pipeline.SmallUNet):
    on_the_cpu = [torch.full((3,), 0.3)]

    def __init__(self):
        super().__init__()
        self.blocks = torch.nn.ModuleList([Block()])
        if FAULT == "disabled":
            self.blocks[0].forward = torch.compiler.disable(self.blocks[0].forward)

    def forward(self, latents, timestep):
        if FAULT == "scalar":
            latents = latents * self.on_the_cpu[0].sum().to(latents.device)
        if FAULT == "mutated":
            latents.add_(1)
        hidden = self.conv_in(latents).flatten(2).transpose(1, 2)
        for block in self.blocks:
            hidden = block(hidden)
        if FAULT == "cast":
            hidden = hidden.double().exp().float()
        if FAULT == "nothing":
            return torch.ops.diffopt_faults.unsafe(latents)
        return self.conv_out(hidden.transpose(1, 2).unflatten(2, latents.shape[2:]))

class Pipeline(small_pipeline.SmallPipeline):
    def step(self, latents, timestep, num_inference_steps):
        noise = self.unet(latents, timestep)
        before = noise
        if FAULT == "kept":
            before, self.before = getattr(self, "before", noise), noise
        return latents - (noise + before) / 2

@functools.cache
def built(fault, options):
    global FAULT
    FAULT = fault
    torch.compiler.reset()
    if fault == "dynamic":
        options += ", dynamic=True"
    pipeline = small_pipeline.build(unet=UNet, pipeline=Pipeline).to("cuda")
    return parse_recipe(f'compile(target=["denoiser"]{options})').apply(pipeline)

def compiled(fault, options=""):
    # without faults one pipeline serves all tests
    return built(fault if INJECTED else "", options)

@pytest.mark.parametrize("fault", ["cast", "disabled", "print", "custom", "norm", "dynamic"])
def test_kernels(fault, kernel_baseline):
    kernel_baseline.check(compiled(fault), **small_pipeline.inputs())

@pytest.mark.parametrize("fault", ["dynamic"])
def test_compilation(fault, compile_baseline):
    compile_baseline.check(compiled(fault), **small_pipeline.inputs())

@pytest.mark.parametrize("fault", ["scalar", "mutated", "nothing", "kept"])
def test_graphs(fault, kernel_baseline):
    kernel_baseline.check(compiled(fault, GRAPHS), **small_pipeline.inputs())
"""

#: Lines of each failure, by test, with the versions in constraints-cuda.txt. `norm` is of vLLM-Omni #4964's kind, a
#: norm that runs decomposed; `nothing` is of pytorch #193044's kind, a mode with CUDA graphs that captures nothing.
EXPECTED = {
    "test_kernels[cast]": ["  step 0     triton_poi_fused__to_copy_*_exp_* 0 -> 3"],
    "test_kernels[disabled]": ["  step 0     *elementwise_kernel(gelu, float32) 0 -> 1"],
    "test_kernels[print]": ["  step 0     triton_*_gelu_mul_* 1 -> 0", "  step 0     triton_poi_fused_gelu* 0 -> 1"],
    "test_kernels[custom]": [
        "  step 0     launches 14 -> 16 (+14.3 %)",
        "  step 0     triton_*_gelu_mul_* 1 -> 0",
        "  step 0     *elementwise_kernel(mul, float32) 1 -> 2 (+100.0 %)",
    ],
    "test_kernels[norm]": [
        "  step 0     launches 14 -> 17 (+21.4 %)",
        "  step 0     reduce_kernel(mean, float32) 0 -> 1",
    ],
    "test_kernels[dynamic]": ["  step 0     launches 14 -> 11 (-21.4 %)"],
    "test_compilation[dynamic]": ["  UNet.forward  symbolic sizes 0 -> 1", "  UNet.forward  generated kernels 7 -> 4"],
    "test_graphs[scalar]": ["  step 0     copies host to device 0 -> 1", "  step 0     triton_poi_fused_mul 0 -> 1"],
    "test_graphs[mutated]": ["  step 0 *graph launches 1 -> 0", "  step 0 *launches in graphs 11 -> 0"],
    "test_graphs[nothing]": ["  step 0     graph launches 1 -> 0", "  step 0     launches in graphs 11 -> 0"],
    "test_graphs[kept]": ["*accessing tensor output of CUDAGraphs that has been overwritten by a subsequent run*"],
}
_HEADING = re.compile(r"_+ (test_\S+) _+")


def test_each_fault_fails_its_guard(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the kernels that are gone and those that came instead, or the line."""
    project.makepyfile(test_it=PROJECT)
    monkeypatch.setenv("INJECTED", "no")
    clean = project.runpytest_inprocess("--diffopt-update=missing")
    monkeypatch.setenv("INJECTED", "yes")
    faulty = project.runpytest_inprocess()

    clean.assert_outcomes(passed=len(EXPECTED))
    faulty.assert_outcomes(failed=len(EXPECTED))
    found = failures(faulty.outlines)
    unseen = {
        (test, pattern)
        for test, patterns in EXPECTED.items()
        for pattern in patterns
        if not fnmatch.filter(found[test], pattern.replace("[", "[[]"))
    }
    assert not unseen, found


def failures(lines: list[str]) -> dict[str, list[str]]:
    """Return the lines of each failed test."""
    found: dict[str, list[str]] = {}
    test = ""
    for line in lines:
        heading = _HEADING.fullmatch(line)
        test = heading[1] if heading else test
        found.setdefault(test, []).append(line)
    return found
