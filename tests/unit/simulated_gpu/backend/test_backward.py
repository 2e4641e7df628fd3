"""A backward pass is counted like any other work, in a process that ran none before the GPU was simulated.

torch makes one queue a device when the first backward pass of a process runs, and never another: the simulated device
must be there by then. So these run in processes of their own.
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

# torch's autograd thread may still be letting go of Python objects; a process that ends meanwhile is aborted by C++.
QUIET = """
import time
time.sleep(0.5)
"""


@pytest.mark.parametrize("program", [GRADIENTS, ATTENTION], ids=["gradients", "attention"])
def test_a_backward_pass_runs_and_is_counted(program: str) -> None:
    """Gradients are on the device, gone after the block, and cost what the backward kernel costs."""
    done = subprocess.run([sys.executable, "-c", program + QUIET], check=False, capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (0, "")
