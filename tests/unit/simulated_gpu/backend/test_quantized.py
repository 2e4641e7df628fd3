"""Quantized weights on the simulated GPU: they are restored, their products are counted, and printing them syncs."""

import pytest
import torch
from torch import nn
from torchao.quantization import Int8DynamicActivationInt8WeightConfig, quantize_

from pytest_diffopt.probes.compiled_branches import branches_of_compiled_code
from pytest_diffopt.simulated_gpu import SimulatedGPU

INPUTS, OUTPUTS, ROWS = 64, 32, 24


class Block(nn.Module):
    """One linear layer in a module that can be compiled."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(INPUTS, OUTPUTS)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run the layer."""
        result: torch.Tensor = self.layer(x)
        return result


@pytest.fixture
def block() -> Block:
    """Build a block in int8."""
    made = Block().to(torch.bfloat16)
    quantize_(made, Int8DynamicActivationInt8WeightConfig(version=2))
    return made


def on_gpu(block: Block) -> SimulatedGPU:
    """Call the block once on a simulated GPU."""
    with SimulatedGPU() as gpu, torch.no_grad():
        block.to(gpu.device)
        x = torch.ones(ROWS, INPUTS, dtype=torch.bfloat16, device=gpu.device)
        gpu.enter_phase("the call")
        with branches_of_compiled_code(block):
            block(x)
    return gpu


def syncs(gpu: SimulatedGPU) -> int:
    """Return the number of syncs during the call."""
    return sum(sync.phase == "the call" for sync in gpu.syncs)


def test_quantized_weights_are_restored(block: Block) -> None:
    """Torch moves a quantized weight in place; afterwards it computes the same values as before."""
    x = torch.ones(ROWS, INPUTS, dtype=torch.bfloat16)
    weight, before = block.layer.weight, block(x)
    on_gpu(block)

    assert block.layer.weight is weight
    assert torch.equal(block(x), before)


def test_uncompiled_product_syncs(block: Block) -> None:
    """Torchao prints the activation to find out whether it is traced, and printing reads it."""
    assert syncs(on_gpu(block)) > 0


def test_compiled_product_does_not_sync_and_is_counted(block: Block) -> None:
    """Compiled code takes the branch for tracing; a multiply-add counts as two FLOPs."""
    block.compile(backend="eager")
    gpu = on_gpu(block)

    assert syncs(gpu) == 0
    assert gpu.phases["the call"].flops == 2 * ROWS * INPUTS * OUTPUTS


def test_a_compiled_method_takes_the_same_branches(block: Block) -> None:
    """A method can be compiled by itself, such as a VAE's `decode`."""
    block.forward = torch.compile(block.forward, backend="eager")  # type: ignore[method-assign]
    compiled = block.forward

    assert syncs(on_gpu(block)) == 0
    assert block.forward is compiled
