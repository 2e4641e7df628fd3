"""The tracing backend computes eager values and accepts every layout that eager code accepts."""

from typing import Any

import pytest
import torch
from torch import nn

from pytest_diffopt._torch_private.tracing_backend import trace_only
from pytest_diffopt.pipelines.tiny import build_tiny_component


class Norm(nn.Module):
    """A group norm of an attention's result, (batch, pixels, channels), as in AutoencoderKL's decoder."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.norm = nn.GroupNorm(2, 4)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the normalized pixels as an image, (batch, channels, 2, 2)."""
        image: torch.Tensor = self.norm(self.linear(pixels).transpose(-1, -2).reshape(len(pixels), 4, 2, 2))
        return image


@pytest.fixture
def module() -> nn.Module:
    """Return a module whose group norm has a transposed input."""
    torch._dynamo.reset()
    torch.manual_seed(0)
    return Norm()


@pytest.mark.parametrize("batch", [1, 2])
def test_values_are_those_of_eager_code(module: nn.Module, batch: int) -> None:
    """With batch size 1, the stride of the batch dimension is arbitrary."""
    pixels = torch.randn(batch, 4, 4)
    compiled = torch.compile(module, backend=trace_only)

    torch.testing.assert_close(compiled(pixels), module(pixels))


@pytest.mark.parametrize("grad", [False, True])
def test_the_tiny_decoder_compiles(*, grad: bool) -> None:
    """Torch's `aot_eager` raises for it: "Expected X.is_contiguous(memory_format) to be true"."""
    torch._dynamo.reset()
    vae = build_tiny_component("sd-vae")
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    compiled: Any = torch.compile(vae.decode, backend=trace_only)

    with torch.set_grad_enabled(grad):
        torch.testing.assert_close(compiled(latents).sample, vae.decode(latents).sample)


def test_gradients_flow(module: nn.Module) -> None:
    """The backward graph runs as well."""
    pixels = torch.randn(1, 4, 4, requires_grad=True)
    torch.compile(module, backend=trace_only)(pixels).sum().backward()

    assert pixels.grad is not None
