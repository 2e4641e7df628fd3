"""Each worker has a GPU that no other one has."""

import os
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_diffopt.plugin.worker_gpus import GPUAssignment, take_gpu, visible_gpus


class Driver:
    """A stand-in for NVML with two GPUs, or without a driver."""

    NVMLError = OSError

    def __init__(self, *, has_driver: bool) -> None:
        self._has_driver = has_driver
        self.is_on = False

    def __getattr__(self, name: str) -> Any:
        """Answer the four questions that are asked."""
        answers = {
            "nvmlInit": self._start,
            "nvmlShutdown": self._stop,
            "nvmlDeviceGetCount": lambda: 2,
            "nvmlDeviceGetHandleByIndex": lambda index: index,
            "nvmlDeviceGetUUID": "GPU-{}".format,
        }
        if name not in answers:  # Python looks for what any module has
            raise AttributeError(name)
        return answers[name]

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
def test_the_variable_names_them(named: str, gpus: list[str]) -> None:
    """Numbers, and names of GPUs and of parts of a GPU; what follows -1 is hidden."""
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": named}) == gpus


@pytest.mark.parametrize(("has_driver", "gpus"), [(True, ["GPU-0", "GPU-1"]), (False, [])])
def test_without_the_variable_nvml_does(monkeypatch: pytest.MonkeyPatch, gpus: list[str], *, has_driver: bool) -> None:
    """By names that do not depend on an order; without a driver there are none."""
    driver = Driver(has_driver=has_driver)
    monkeypatch.setitem(sys.modules, "pynvml", driver)

    assert visible_gpus({}) == gpus
    assert not driver.is_on


def test_no_two_workers_share_a_gpu_and_a_dead_one_leaves_its_own() -> None:
    """Xdist names the next worker anew."""
    keeper = GPUAssignment(["0", "1"], 2)
    first, second, third = node("gw0"), node("gw1"), node("gw2")
    for one in (first, second):
        keeper.pytest_configure_node(one)
    keeper.pytest_testnodedown(second)
    keeper.pytest_configure_node(third)

    assert [one.workerinput for one in (first, second, third)] == [
        {"diffopt_gpu": "0"},
        {"diffopt_gpu": "1"},
        {"diffopt_gpu": "1"},
    ]


def test_more_workers_than_gpus_are_refused() -> None:
    """Their times would be each other's."""
    with pytest.raises(pytest.UsageError) as refused:
        GPUAssignment(["0"], 2)

    assert str(refused.value) == (
        "diffopt: --gpu assigns one GPU to each worker, got: 2 workers (-n) and 1 GPU; "
        "-n auto starts one worker per GPU"
    )


def test_a_worker_sees_its_own_gpu_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The controller, and a worker without a GPU, see what they saw."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    take_gpu(SimpleNamespace())  # type: ignore[arg-type] # a session without xdist
    before = os.environ["CUDA_VISIBLE_DEVICES"]
    take_gpu(SimpleNamespace(workerinput={"diffopt_gpu": "1"}))  # type: ignore[arg-type] # a worker

    assert (before, os.environ["CUDA_VISIBLE_DEVICES"]) == ("0,1", "1")
