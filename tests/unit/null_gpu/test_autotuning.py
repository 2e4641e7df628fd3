"""Which candidates for an operation are compiled and launched, where no time shows which is faster."""

import math
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_diffopt.null_gpu.values import autotuning
from pytest_diffopt.null_gpu.values.autotuning import _first_only, _starting_point_only

_COMPILED: list[str] = []


def _benchmark(kind: type, choices: Sequence[str], *, is_collective: bool) -> dict[str, float]:
    assert kind is dict
    assert not is_collective
    _COMPILED.extend(choices)
    return {choice: math.inf if choice.startswith("too large") else autotuning._EQUAL_MS for choice in choices}


@pytest.mark.parametrize(
    ("choices", "compiled"),
    [
        (["cuBLAS", "template 1", "template 2"], ["cuBLAS"]),
        (["too large 1", "template 1", "template 2"], ["too large 1", "template 1"]),
        (["too large 1", "too large 2"], ["too large 1", "too large 2"]),
        ([], []),
    ],
)
def test_candidates_after_the_first_that_runs_are_not_compiled(choices: list[str], compiled: list[str]) -> None:
    """They count as equally fast, as if they had been launched; one that cannot be launched is never chosen."""
    _COMPILED.clear()
    method: Any = _first_only(classmethod(_benchmark))
    times_ms = method.__func__(dict, choices, is_collective=False)

    assert compiled == _COMPILED
    assert list(times_ms) == choices
    assert {choice for choice in choices if math.isinf(times_ms[choice])} == {
        choice for choice in choices if choice.startswith("too large")
    }


@pytest.mark.parametrize("start_ms", [None, autotuning._EQUAL_MS])
def test_tuning_stays_where_it_starts(start_ms: float | None) -> None:
    """No neighbor is compiled: none would be faster."""
    tuner = SimpleNamespace(call_func=lambda measure, start: measure(start))
    tuned = _starting_point_only(lambda *_: "a neighbor")(tuner, lambda _start: autotuning._EQUAL_MS, "start", start_ms)

    assert tuned == "start"


def test_tuning_leaves_a_start_that_cannot_be_launched() -> None:
    """It needs more shared memory than the GPU has, for example."""
    assert _starting_point_only(lambda *_: "a neighbor")(SimpleNamespace(), lambda _: 1.0, "start", math.inf) == (
        "a neighbor"
    )
