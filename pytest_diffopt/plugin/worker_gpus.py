"""Several GPUs: each worker of pytest-xdist gets one, so that no test is timed while another uses its GPU."""

import os
from collections.abc import Mapping
from typing import Any

import pytest

from pytest_diffopt.errors import DiffoptError
from pytest_diffopt.guards.failure_text import counted

_VISIBLE = "CUDA_VISIBLE_DEVICES"
_INPUT = "diffopt_gpu"
_HIDES_THE_REST = "-1"


class GpuSharingError(DiffoptError):
    """Several workers would use one GPU."""


def visible_gpus(environment: Mapping[str, str]) -> list[str]:
    """Return the GPUs that CUDA may use, as `CUDA_VISIBLE_DEVICES` names them: numbers, `GPU-...` or `MIG-...`.

    Without the variable they are NVML's UUIDs; without NVML the list is empty.
    """
    if _VISIBLE not in environment:
        return _installed_gpus()
    named = [name.strip() for name in environment[_VISIBLE].split(",")]
    hidden = named.index(_HIDES_THE_REST) if _HIDES_THE_REST in named else len(named)  # as CUDA reads it
    return [name for name in named[:hidden] if name]


def _installed_gpus() -> list[str]:
    try:
        import pynvml  # noqa: PLC0415 - an extra of this package
    except ImportError:
        return []
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:  # no driver
        return []
    try:
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        return [str(pynvml.nvmlDeviceGetUUID(handle)) for handle in handles]
    finally:
        pynvml.nvmlShutdown()


def require_own_gpu(config: pytest.Config) -> None:
    """Require that this worker has a GPU of its own, if it is one of several.

    Raises:
        GpuSharingError: the controller could not list the GPUs, so that all workers use the first one.
    """
    worker = getattr(config, "workerinput", {})
    if worker.get("workercount", 1) > 1 and _INPUT not in worker:
        msg = (
            f"--gpu assigns one GPU to each worker, got: {worker['workercount']} workers (-n) and no list of the GPUs: "
            f"set {_VISIBLE} to their numbers, or install nvidia-ml-py"
        )
        raise GpuSharingError(msg)


def take_gpu(config: pytest.Config) -> None:
    """In a worker, make only its own GPU visible to CUDA, which has not started yet."""
    gpu = getattr(config, "workerinput", {}).get(_INPUT)
    if gpu:
        os.environ[_VISIBLE] = gpu


class GPUAssignment:
    """In the controller, assigns each worker a GPU of its own; the GPU of a crashed worker is assigned again."""

    def __init__(self, gpus: list[str], num_workers: int) -> None:
        """Compare the number of workers with the number of GPUs.

        Raises:
            pytest.UsageError: there are more workers than GPUs.
        """
        if num_workers > len(gpus):
            msg = (
                f"diffopt: --diffopt-gpu assigns one GPU to each worker, got: {counted(num_workers, 'worker')} (-n) "
                f"and {counted(len(gpus), 'GPU')}; -n auto starts one worker per GPU"
            )
            raise pytest.UsageError(msg)
        self._free = list(gpus)
        self._taken: dict[str, str] = {}

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Assign a GPU to a worker before it starts."""
        gpu = self._free.pop(0)
        self._taken[node.gateway.id] = gpu
        node.workerinput[_INPUT] = gpu

    @pytest.hookimpl(optionalhook=True, tryfirst=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Release the GPU: xdist may start another worker in place of this one."""
        gpu = self._taken.pop(node.gateway.id, None)
        if gpu is not None:
            self._free.append(gpu)
