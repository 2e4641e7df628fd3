"""Small models and a pipeline; several tests compile the same classes."""

import functools
from collections.abc import Callable
from typing import Any

import torch


@functools.lru_cache
def positions(device: torch.device) -> torch.Tensor:
    """Return a table that is cached by device."""
    return torch.arange(8.0).to(device)


class Denoiser(torch.nn.Module):
    """A linear layer with a table; `heads` changes the shape of its weight."""

    def __init__(self, heads: int = 1) -> None:
        super().__init__()
        torch.manual_seed(heads)
        self.heads = heads
        self.layer = torch.nn.Linear(8, 8 * heads)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Sum the heads."""
        heads: torch.Tensor = self.layer(x).unflatten(-1, (self.heads, 8))
        return heads.sum(-2) + positions(x.device)


class Prints(Denoiser):
    """Breaks the graph in a loop, so that Dynamo gives the function up."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Print twice."""
        for _ in range(2):
            print("noise left")  # noqa: T201 - the graph break
        return super().forward(x)


class Reads(Denoiser):
    """Synchronizes."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Read the sum."""
        return super().forward(x) * x.sum().item()


def compiled(model: torch.nn.Module, backend: Any = "eager") -> torch.nn.Module:
    """Compile a model in place."""
    model.compile(backend=backend)
    return model


def doubling(graph: Callable[..., Any], _inputs: Any) -> Callable[..., Any]:
    """Compute twice of what the graph computes: a wrong backend."""
    return lambda *inputs: [2 * output for output in graph(*inputs)]


def call(rows: int = 2) -> dict[str, torch.Tensor]:
    """Return the arguments of a call."""
    return {"x": torch.ones(rows, 8)}
