"""The number of launches of an operation: learned entries, and their use."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch

from pytest_diffopt.simulated_gpu import SimulatedGPU
from pytest_diffopt.simulated_gpu.cost import launches
from pytest_diffopt.simulated_gpu.cost.launches import FEATURES, features_of, launches_of, nearest, table_entry

X = torch.zeros(2, 3)


def counted(number: int, *tensors: torch.Tensor) -> tuple[Mapping[str, str], int]:
    """Return a call with its features."""
    return {name: features_of(name, tensors, {}) for name in FEATURES}, number


def test_constant_number_is_one_number() -> None:
    """Operands do not matter where every call launches the same."""
    assert table_entry([counted(2, X), counted(2, X.half())]) == 2


def test_coarsest_features_that_determine_the_number_are_kept() -> None:
    """Here the dtype does; the most frequent number is that of any other dtype."""
    entry = table_entry([counted(1, X), counted(1, X.t()), counted(2, X.half())])

    assert entry == {"by": "dtypes", "numbers": {"float32": 1, "float16": 2, "other": 1}}


def test_layout_is_a_feature() -> None:
    """Of a transposed operand a copy is made first."""
    entry = table_entry([counted(1, X), counted(2, X.t()), counted(0, X[:0])])

    assert entry["by"] == "layouts"
    assert entry["numbers"] == {"contiguous": 1, "empty": 0, "strided": 2, "other": 0}


@pytest.mark.parametrize(
    ("shape", "channels_last", "layout"),
    [
        ((8, 4, 3, 3), False, "contiguous"),
        ((8, 4, 3, 3), True, "channels_last"),
        ((8, 4, 1, 1), False, "either"),
        ((8, 4, 1, 1), True, "either"),
        ((8, 4, 3, 3, 3), False, "contiguous"),
        ((8, 4, 3, 3, 3), True, "channels_last"),
        ((8, 4, 1, 1, 1), False, "either"),
    ],
)
def test_layout_of_an_image_or_a_video(shape: tuple[int, ...], channels_last: bool, layout: str) -> None:  # noqa: FBT001
    """For a convolution in channels_last, a weight of one pixel is not copied: it has both layouts."""
    memory_format = {4: torch.channels_last, 5: torch.channels_last_3d}[len(shape)]
    weight = torch.zeros(shape).to(memory_format=memory_format if channels_last else torch.contiguous_format)

    assert features_of("layouts", [weight], {}) == layout


def test_number_that_nothing_determines_is_the_most_frequent() -> None:
    """The same operands launched different numbers."""
    assert table_entry([counted(1, X), counted(3, X), counted(3, X)]) == 3


@pytest.mark.parametrize(
    ("release", "expected"), [((2, 11), "2.13"), ((2, 13), "2.13"), ((2, 14), "2.14"), ((2, 15), "2.14")]
)
def test_nearest_release_is_used(release: tuple[int, int], expected: str) -> None:
    """The release itself, else the nearest earlier one, else the earliest."""
    by_release = {"2.14": {"name": "2.14"}, "2.13": {"name": "2.13"}}

    assert nearest(by_release, release) == {"name": expected}


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A table of its own."""
    entries: dict[str, Any] = {
        "aten.exp.default": 3,
        "aten.log.default": {"by": "dtypes", "numbers": {"float32": 5, "other": 2}},
    }
    monkeypatch.setattr(launches, "_table", lambda: entries)
    return entries


@pytest.mark.usefixtures("table")
def test_numbers_are_looked_up() -> None:
    """By name, then by features; an unknown operation launches one kernel."""
    assert launches_of("aten.exp.default", [X], {}) == 3
    assert launches_of("aten.log.default", [X], {}) == 5
    assert launches_of("aten.log.default", [X.half()], {}) == 2
    assert launches_of("aten.sin.default", [X], {}) == 1


@pytest.mark.usefixtures("table")
def test_launches_of_a_program_are_summed() -> None:
    """Each operation adds its number, in the phase in which it runs; views launch nothing."""
    with SimulatedGPU() as gpu, torch.no_grad():
        x = torch.ones(2, 3).to(gpu.device)
        gpu.enter_phase("work")
        x.t().exp().log().sin()

    assert gpu.phases["work"].launches == 3 + 5 + 1
    assert gpu.phases["work"].operations == 3
    assert gpu.launches == gpu.counts.launches
