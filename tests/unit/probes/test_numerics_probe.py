"""Tests of comparing compiled modules with their eager modules."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import nn

from pytest_diffopt.errors import ProbeError
from pytest_diffopt.probes.numerics import Tolerance, compare_with_eager
from pytest_diffopt.records import NumericsRecord, OutputDifference, Subject

SUBJECT = Subject(pipeline="sdxl")
X = torch.tensor([[1.0, -4.0]])


@pytest.fixture(autouse=True)
def _forget_compiled_code() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


class Doubled(nn.Module):
    """Returns a tuple of two outputs."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Double and sum."""
        return x * 2, {"sum": x.sum()}


def off_by(error: float) -> Callable[..., Any]:
    """Return a backend that adds an error to the first output of a graph."""

    def backend(graph: Any, _inputs: Any) -> Any:
        def run(*args: Any) -> Any:
            first, *others = graph(*args)
            return (first + error, *others)

        return run

    return backend


def compared(backend: Any, x: torch.Tensor = X, tolerance: Tolerance | None = None) -> NumericsRecord:
    """Compile, call and compare."""
    module = Doubled()
    module.compile(backend=backend)
    return compare_with_eager(module, lambda: module(x), SUBJECT, tolerance=tolerance)


def first(record: NumericsRecord) -> OutputDifference:
    """Return the first output's difference."""
    return record.differences[0]


def test_equal_outputs_have_no_error() -> None:
    """Each output has its name, and torch.testing's tolerance for its dtype."""
    record = compared("eager")

    assert [(one.module, one.output, one.dtype, one.values) for one in record.differences] == [
        ("Doubled", "[0]", "float32", 2),
        ("Doubled", "[1].sum", "float32", 1),
    ]
    assert (first(record).differing_values, first(record).max_error) == (0, 0.0)
    assert (first(record).relative_tolerance, first(record).absolute_tolerance) == (1.3e-6, 1e-5)
    assert record.silent == ()


def test_the_relative_error_is_relative_to_the_largest_value() -> None:
    """Both values have the same error; the largest eager value is 8."""
    found = first(compared(off_by(0.5)))

    assert (found.differing_values, found.max_error, found.max_relative_error) == (2, 0.5, 0.0625)


def test_the_tolerance_depends_on_the_dtype() -> None:
    """1 % of the largest value is allowed in bfloat16, but not in float32."""
    assert first(compared(off_by(0.08), X.bfloat16())).differing_values == 0
    assert first(compared(off_by(0.08))).differing_values == 2


def test_a_given_tolerance_is_used() -> None:
    """It replaces that of the dtype."""
    assert first(compared(off_by(0.5), tolerance=Tolerance(relative=0.0, absolute=0.6))).differing_values == 0


@pytest.mark.parametrize(("value", "differing"), [(math.nan, 2), (math.inf, 2), (-math.inf, 2)])
def test_nan_and_infinite_errors_are_never_tolerated(value: float, differing: int) -> None:
    """With any tolerance."""
    found = first(compared(off_by(value), tolerance=Tolerance(relative=1.0, absolute=100.0)))

    assert (found.differing_values, found.max_error) == (differing, math.inf)


def test_nan_equals_nan() -> None:
    """The eager module returns the same values."""
    assert first(compared("eager", torch.tensor([[math.nan, math.inf]]))).differing_values == 0


class Counter:
    """A pipeline of one module, called several times."""

    def __init__(self, module: nn.Module) -> None:
        self.components = {"unet": module}

    def __call__(self, *inputs: torch.Tensor) -> None:
        """Call the module with each."""
        for x in inputs:
            self.components["unet"](x)


def test_several_calls_are_merged() -> None:
    """Into the largest error, and the total number of values."""
    module = Doubled()
    module.compile(backend="eager", dynamic=True)
    target = Counter(module)
    record = compare_with_eager(target, lambda: target(X, torch.ones(3, 2)), SUBJECT)

    assert (first(record).module, first(record).calls, first(record).values) == ("unet", 2, 8)


def test_a_module_that_modifies_its_input_gets_a_copy() -> None:
    """Both modules start from the same values."""

    class InPlace(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.add_(1)

    module = InPlace()
    module.compile(backend="eager")
    record = compare_with_eager(module, lambda: module(torch.zeros(2)), SUBJECT)

    assert first(record).max_error == 0.0


def test_both_modules_use_the_same_random_numbers() -> None:
    """Dropout and noise are not a difference."""

    class Noisy(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + torch.rand_like(x)

    module = Noisy()
    module.compile(backend="eager")
    record = compare_with_eager(module, lambda: module(torch.zeros(2)), SUBJECT)

    assert first(record).max_error == 0.0


def test_a_nested_compiled_module_is_part_of_the_outer_one() -> None:
    """Only the outer module is called from Python."""
    module = nn.Sequential(Doubled())
    module[0].compile(backend="eager")
    module.compile(backend="eager")
    record = compare_with_eager(module, lambda: module(X), SUBJECT)

    assert {one.module for one in record.differences} == {"Sequential"}


def test_a_compiled_module_that_is_never_called_is_reported() -> None:
    """None of its outputs was compared."""
    module = nn.ModuleList([Doubled(), Doubled()])
    for one in module:
        one.compile(backend="eager")
    record = compare_with_eager(module, lambda: module[0](X), SUBJECT)

    assert record.silent == ("ModuleList.1",)


def test_an_eager_target_is_refused() -> None:
    """There is nothing to compare."""
    with pytest.raises(ProbeError, match=r"no compiled module .*: nothing is compiled in pipeline sdxl"):
        compare_with_eager(nn.Linear(1, 1), lambda: None, SUBJECT)


@pytest.mark.parametrize("tolerance", [(-1.0, 0.0), (0.0, math.nan)])
def test_a_tolerance_must_not_be_negative(tolerance: tuple[float, float]) -> None:
    """The message has the value."""
    with pytest.raises(ProbeError, match="must not be negative, got: rtol="):
        Tolerance(relative=tolerance[0], absolute=tolerance[1])
