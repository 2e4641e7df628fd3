"""Test what the GPU commands do differently on the null GPU; nothing runs there."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks.on_gpu import one_case
from benchmarks.on_gpu.commands import COMMANDS
from benchmarks.on_gpu.setting import Setting
from pytest_diffopt.null_gpu.activity import DEVICE_VARIABLE

REHEARSED = Setting(is_rehearsal=True, reports=Path("reports"))


@pytest.fixture
def null_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make this process take itself for one on the null GPU."""
    monkeypatch.setenv(DEVICE_VARIABLE, "NVIDIA H200")


def recipes() -> list[str]:
    """Return the recipes of the ladder in a rehearsal."""
    cases: list[Any] = list(COMMANDS["ladder"].cases(REHEARSED))
    return [case.measure.args[1].recipe for case in cases]


@pytest.mark.usefixtures("null_gpu")
def test_null_gpu_rehearses_the_recipes_of_a_gpu() -> None:
    """Inductor compiles there, also with autotuning."""
    assert not any("eager" in recipe for recipe in recipes())
    assert sum('mode="max-autotune"' in recipe for recipe in recipes()) == 3


def test_cpu_rehearses_what_dynamo_traces() -> None:
    """Without a GPU nothing is generated."""
    assert sum('backend="eager"' in recipe for recipe in recipes()) == sum("compile" in one for one in recipes()) > 0


@pytest.mark.usefixtures("null_gpu")
def test_null_gpu_measures_nothing() -> None:
    """Without `--rehearse` the command refuses it."""
    measured = Setting(is_rehearsal=False, reports=Path("reports"))

    assert one_case.environment_of(measured) == {
        "refused": "needs an NVIDIA GPU, but this is the null GPU, on which nothing can be measured; "
        "--rehearse runs tiny pipelines, without measuring"
    }
