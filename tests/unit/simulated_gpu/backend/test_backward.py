"""A backward pass is counted, in a process that ran none before the GPU was simulated.

Torch creates the queues of all devices at a process's first backward pass, and none later, so the simulated device must
be registered by then. Each program therefore runs in a new process.
"""

import subprocess
import sys

import pytest

GRADIENTS = """
import torch
from pytest_diffopt.simulated_gpu import SimulatedGPU

layer = torch.nn.Linear(4, 4)
with SimulatedGPU() as gpu:
    layer.to(gpu.device)
    layer(torch.ones(2, 4, device=gpu.device)).sum().backward()
    assert layer.weight.grad.device == gpu.device
assert layer.weight.grad is None
"""
ATTENTION = """
import torch
from pytest_diffopt.simulated_gpu import SimulatedGPU

with SimulatedGPU("nvidia-a100", real_up_to=0) as gpu:
    q = torch.ones(2, 4, 32, 64, device=gpu.device, dtype=torch.float16, requires_grad=True)
    out = torch.nn.functional.scaled_dot_product_attention(q, q, q)
    gpu.enter_phase("backward")
    torch.autograd.backward(out.sum())
    assert q.grad is not None
assert gpu.phases["backward"].flops > 2 * 2 * 2 * 4 * 32 * 32 * 64
"""

# Torch's autograd thread may still be releasing Python objects; C++ aborts a process that is finalized meanwhile.
QUIET = """
import os, sys
sys.stderr.flush()
os._exit(0)
"""


@pytest.mark.parametrize("program", [GRADIENTS, ATTENTION], ids=["gradients", "attention"])
def test_a_backward_pass_runs_and_is_counted(program: str) -> None:
    """Gradients are on the device, are removed after the block, and the backward kernel is counted."""
    done = subprocess.run([sys.executable, "-c", program + QUIET], check=False, capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (0, "")
