"""Each xdist worker has its own GPU."""

import os
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_diffopt.plugin.worker_gpus import GPUAssignment, take_gpu, visible_gpus


class Driver:
    """A replacement of NVML with two GPUs, or without a driver."""

    NVMLError = OSError

    def __init__(self, *, has_driver: bool) -> None:
        self._has_driver = has_driver
        self.is_on = False

    def __getattr__(self, name: str) -> Any:
        """Return the functions that are used."""
        functions = {
            "nvmlInit": self._start,
            "nvmlShutdown": self._stop,
            "nvmlDeviceGetCount": lambda: 2,
            "nvmlDeviceGetHandleByIndex": lambda index: index,
            "nvmlDeviceGetUUID": "GPU-{}".format,
        }
        if name not in functions:  # Python reads attributes of any module
            raise AttributeError(name)
        return functions[name]

    def _start(self) -> None:
        if not self._has_driver:
            raise self.NVMLError
        self.is_on = True

    def _stop(self) -> None:
        self.is_on = False


def node(name: str) -> Any:
    """Return a worker before it starts."""
    return SimpleNamespace(gateway=SimpleNamespace(id=name), workerinput={})


@pytest.mark.parametrize(
    ("named", "gpus"),
    [
        ("0,1", ["0", "1"]),
        (" GPU-8f3c , MIG-1a2b ", ["GPU-8f3c", "MIG-1a2b"]),
        ("2,-1,3", ["2"]),
        ("", []),
        ("-1", []),
    ],
)
def test_the_variable_names_the_gpus(named: str, gpus: list[str]) -> None:
    """By index, or by the UUID of a GPU or of a MIG instance; entries after -1 are hidden."""
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": named}) == gpus


@pytest.mark.parametrize(("has_driver", "gpus"), [(True, ["GPU-0", "GPU-1"]), (False, [])])
def test_without_the_variable_nvml_names_the_gpus(
    monkeypatch: pytest.MonkeyPatch, gpus: list[str], *, has_driver: bool
) -> None:
    """By UUIDs, which do not depend on an order; without a driver there are none."""
    driver = Driver(has_driver=has_driver)
    monkeypatch.setitem(sys.modules, "pynvml", driver)

    assert visible_gpus({}) == gpus
    assert not driver.is_on


def test_no_two_workers_share_a_gpu_and_that_of_a_lost_worker_is_reassigned() -> None:
    """Xdist gives the replacement a new name."""
    assignment = GPUAssignment(["0", "1"], 2)
    first, second, third = node("gw0"), node("gw1"), node("gw2")
    for one in (first, second):
        assignment.pytest_configure_node(one)
    assignment.pytest_testnodedown(second)
    assignment.pytest_configure_node(third)

    assert [one.workerinput for one in (first, second, third)] == [
        {"diffopt_gpu": "0"},
        {"diffopt_gpu": "1"},
        {"diffopt_gpu": "1"},
    ]


def test_more_workers_than_gpus_are_refused() -> None:
    """They would disturb each other's timings."""
    with pytest.raises(pytest.UsageError) as refused:
        GPUAssignment(["0"], 2)

    assert str(refused.value) == (
        "diffopt: --diffopt-gpu assigns one GPU to each worker, got: 2 workers (-n) and 1 GPU; "
        "-n auto starts one worker per GPU"
    )


def test_a_worker_sees_only_its_own_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A session without xdist keeps all of them."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    take_gpu(SimpleNamespace())  # type: ignore[arg-type] # a session without xdist
    before = os.environ["CUDA_VISIBLE_DEVICES"]
    take_gpu(SimpleNamespace(workerinput={"diffopt_gpu": "1"}))  # type: ignore[arg-type] # a worker

    assert (before, os.environ["CUDA_VISIBLE_DEVICES"]) == ("0,1", "1")
