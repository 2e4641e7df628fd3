"""The same call in float64, for small modules, methods and functions."""

from typing import Any

import pytest
import torch
from torch import nn

from pytest_diffopt.probes.float64_reference import errors_against, in_float64

X = torch.tensor([1.0, 3.0])


class Third(nn.Module):
    """Divides by a parameter, and by a buffer in a method."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(3.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Divide."""
        return x / self.weight

    def decode(self, inputs: dict[str, Any]) -> torch.Tensor:
        """Divide an argument in a dict, by an integer index."""
        chosen: torch.Tensor = inputs["x"][inputs["index"]]
        return chosen / self.weight


def referenced(function: Any, *args: Any) -> torch.Tensor:
    """Return the result in float64."""
    reference = in_float64(function)
    assert reference is not None
    found: torch.Tensor = reference(*args)
    return found


def test_modules_methods_and_functions_have_a_reference() -> None:
    """Floats of the arguments become float64, indices do not; the module stays as it is."""
    module = Third()
    inputs = {"x": X, "index": torch.tensor([1])}

    assert referenced(module, X).tolist() == [1 / 3, 1.0]
    assert referenced(module._call_impl, X).tolist() == [1 / 3, 1.0]
    assert referenced(module.decode, inputs).tolist() == [1.0]
    assert referenced(torch.sin, X).dtype is torch.float64
    assert module.weight.dtype is torch.float32


def test_a_large_module_has_none() -> None:
    """Its copy would take seconds and gigabytes; neither has a method of something that is no module."""
    with torch.device("meta"):
        large = nn.Linear(1001, 1000)

    assert in_float64(large) is None
    assert in_float64(X.add) is None


def test_errors_are_root_mean_squares() -> None:
    """Twice the eager error is allowed, and one unit in the last place."""
    exact = torch.tensor([1.0, 1.0], dtype=torch.float64)
    errors = errors_against(exact, exact.bfloat16() + 0.5, exact.bfloat16() + 0.25)

    assert errors is not None
    assert (errors.compiled, errors.eager, errors.is_as_exact) == (0.5, 0.25, False)
    assert errors.allowed == pytest.approx(0.5 + 2**-7)


@pytest.mark.parametrize(
    ("exact", "eager"),
    [
        (torch.ones(3).double(), X),
        (X, X),
        (torch.ones(2).double(), X * float("inf")),
        (torch.ones(2).double(), X.int()),
    ],
    ids=["shape", "dtype", "infinite", "integers"],
)
def test_an_output_that_cannot_be_judged_has_no_errors(exact: torch.Tensor, eager: torch.Tensor) -> None:
    """The comparison with eager remains."""
    assert errors_against(exact, eager, eager) is None
