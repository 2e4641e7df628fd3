"""Injected faults of compiled code: each changes the kernels, or the share of them inside CUDA graphs."""

import pytest

pytestmark = pytest.mark.filterwarnings("ignore")  # diffusers and torch of other versions than the suites'

PROJECT = """
import functools
import os

import pytest
import torch
import small_pipeline
from pytest_diffopt import assert_optimizations_applied, parse_recipe

INJECTED = os.environ["INJECTED"] == "yes"
FAULT = ""
GRAPHS = ', mode="reduce-overhead"'

@torch.library.custom_op("diffopt_faults::scaled", mutates_args=())
def scaled(values: torch.Tensor) -> torch.Tensor:
    return values * 2

@scaled.register_fake
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
            return torch.ops.diffopt_faults.scaled(latents)
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

@pytest.mark.parametrize("fault", ["mutated", "nothing"])
def test_applied(fault):
    assert_optimizations_applied(compiled(fault, GRAPHS), **small_pipeline.inputs())
"""

#: The lines of each failure, by test.
EXPECTED = {}


def test_each_fault_fails_its_guard(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the kernels that are gone and those that came instead, or the line."""
    project.makepyfile(test_it=PROJECT)
    monkeypatch.setenv("INJECTED", "no")
    clean = project.runpytest_inprocess("--diffopt-update=missing")
    monkeypatch.setenv("INJECTED", "yes")
    faulty = project.runpytest_inprocess()

    clean.assert_outcomes(passed=13)
    faulty.assert_outcomes(failed=13)
    print(chr(10).join(faulty.outlines))  # noqa: T201
