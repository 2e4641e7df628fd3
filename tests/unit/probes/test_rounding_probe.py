"""Tests of calls with rounded weights and layer outputs."""

from typing import Any

import pytest
import torch

from pytest_diffopt.probes.rounding import SCALES, rounded_calls, rounding_of
from tests.unit.tiny_pipelines import tiny_sdxl


class Pipeline:
    """Two consecutive layers."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.components = {"first": torch.nn.Linear(8, 8), "second": torch.nn.Linear(8, 8)}

    def __call__(self) -> torch.Tensor:
        """Run both layers."""
        hidden = torch.linspace(0, 1, 8)
        for layer in self.components.values():
            hidden = layer(hidden)
        return hidden.detach()

    def weights(self) -> torch.Tensor:
        """Return all parameters of the layers."""
        return torch.cat([one.detach().flatten() for layer in self.components.values() for one in layer.parameters()])


def test_rounded_results_differ_by_about_the_rounding_error() -> None:
    """They are close to the plain result, not equal to it, and not equal to each other."""
    pipeline = Pipeline()
    plain = pipeline()
    results = list(rounded_calls(pipeline, torch.bfloat16, pipeline))
    errors = [float((one - plain).norm() / plain.norm()) for one in results]

    assert len(results) == len(SCALES)
    assert all(1e-4 < error < 0.02 for error in errors)
    assert len({one.numpy().tobytes() for one in results}) == len(SCALES)


def test_layer_outputs_are_rounded() -> None:
    """With scale 1 the result is representable in the dtype."""
    pipeline = Pipeline()
    first = next(iter(rounded_calls(pipeline, torch.bfloat16, pipeline)))

    assert torch.equal(first, first.to(torch.bfloat16).to(torch.float32))


def test_weights_and_hooks_are_restored() -> None:
    """Also after a call that raises."""
    pipeline = Pipeline()
    before, plain = pipeline.weights(), pipeline()
    list(rounded_calls(pipeline, torch.float16, pipeline))

    def broken() -> None:
        message = "broken"
        raise RuntimeError(message)

    with pytest.raises(RuntimeError, match="broken"):
        list(rounded_calls(pipeline, torch.float16, broken))

    assert torch.equal(pipeline.weights(), before)
    assert torch.equal(pipeline(), plain)


@pytest.mark.parametrize(
    ("dtypes", "coarsest"),
    [
        ((torch.float32, torch.float32), None),
        ((torch.float64, torch.float32), None),
        ((torch.float16, torch.float32), torch.float16),
        ((torch.float16, torch.bfloat16), torch.bfloat16),
    ],
)
def test_the_coarsest_dtype_is_used_for_rounding(
    dtypes: tuple[torch.dtype, torch.dtype], coarsest: torch.dtype | None
) -> None:
    """None for float32 and float64."""
    pipeline = Pipeline()
    for layer, dtype in zip(pipeline.components.values(), dtypes, strict=True):
        layer.to(dtype)

    assert rounding_of(pipeline) is coarsest


def test_a_target_without_modules_has_no_rounding() -> None:
    """For example a bare function."""
    anything: Any = object()

    assert rounding_of(anything) is None


def test_a_pipeline_in_bfloat16_has_that_rounding() -> None:
    """The pipeline is a tiny SDXL."""
    assert rounding_of(tiny_sdxl().to(torch.bfloat16)) is torch.bfloat16
