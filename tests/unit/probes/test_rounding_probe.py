"""A pipeline drawn again with everything rounded: the weights are put back, and each way rounds otherwise."""

from typing import Any

import pytest
import torch

from pytest_diffopt.probes.rounding import SCALES, rounded_calls, rounding_of
from tests.unit.tiny_pipelines import tiny_sdxl


class Pipeline:
    """Two layers in a row."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.components = {"first": torch.nn.Linear(8, 8), "second": torch.nn.Linear(8, 8)}

    def __call__(self) -> torch.Tensor:
        """Run both."""
        drawn = torch.linspace(0, 1, 8)
        for layer in self.components.values():
            drawn = layer(drawn)
        return drawn.detach()

    def weights(self) -> torch.Tensor:
        """Return every value that the layers hold."""
        return torch.cat([one.detach().flatten() for layer in self.components.values() for one in layer.parameters()])


def test_each_way_is_about_as_far_off_as_the_dtype_rounds() -> None:
    """Near what was drawn, not equal to it, and not equal to each other."""
    pipeline = Pipeline()
    plain = pipeline()
    drawn = list(rounded_calls(pipeline, torch.bfloat16, pipeline))
    errors = [float((one - plain).norm() / plain.norm()) for one in drawn]

    assert len(drawn) == len(SCALES)
    assert all(1e-4 < error < 0.02 for error in errors)
    assert len({one.numpy().tobytes() for one in drawn}) == len(SCALES)


def test_outputs_are_rounded_as_weights_are() -> None:
    """What the first way gives is a value of the dtype."""
    pipeline = Pipeline()
    first = next(iter(rounded_calls(pipeline, torch.bfloat16, pipeline)))

    assert torch.equal(first, first.to(torch.bfloat16).to(torch.float32))


def test_everything_is_put_back() -> None:
    """Also where a call raises."""
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
def test_the_coarsest_dtype_is_what_is_rounded_to(
    dtypes: tuple[torch.dtype, torch.dtype], coarsest: torch.dtype | None
) -> None:
    """float32 rounds nothing."""
    pipeline = Pipeline()
    for layer, dtype in zip(pipeline.components.values(), dtypes, strict=True):
        layer.to(dtype)

    assert rounding_of(pipeline) is coarsest


def test_what_has_no_modules_rounds_nothing() -> None:
    """A function that draws is judged as it is."""
    anything: Any = object()

    assert rounding_of(anything) is None


def test_a_whole_pipeline_has_one_rounding() -> None:
    """As a recipe leaves it."""
    assert rounding_of(tiny_sdxl().to(torch.bfloat16)) is torch.bfloat16
