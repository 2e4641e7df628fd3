"""Several GPUs: each worker of pytest-xdist takes one GPU, so that nobody's time is measured beside another's work."""

import os
from collections.abc import Mapping
from typing import Any

import pytest

from pytest_diffopt.guards.failure_text import counted

_VISIBLE = "CUDA_VISIBLE_DEVICES"
_INPUT = "diffopt_gpu"
_HIDES_THE_REST = "-1"


def visible_gpus(environment: Mapping[str, str]) -> list[str]:
    """Return the GPUs that CUDA may use, as `CUDA_VISIBLE_DEVICES` names them: numbers, `GPU-...` or `MIG-...`.

    Where the variable does not say, NVML does, by names that stay the same; without NVML nothing is known.
    """
    if _VISIBLE not in environment:
        return _installed_gpus()
    named = [name.strip() for name in environment[_VISIBLE].split(",")]
    hidden = named.index(_HIDES_THE_REST) if _HIDES_THE_REST in named else len(named)  # as CUDA itself reads it
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


def take_gpu(config: pytest.Config) -> None:
    """In a worker, let CUDA see its own GPU alone; it has not started yet."""
    gpu = getattr(config, "workerinput", {}).get(_INPUT)
    if gpu:
        os.environ[_VISIBLE] = gpu


class GPUAssignment:
    """In the controller, gives each worker a GPU that no other one has; a worker that died leaves its GPU behind."""

    def __init__(self, gpus: list[str], num_workers: int) -> None:
        """Count the workers that will start.

        Raises:
            pytest.UsageError: there are more of them than GPUs.
        """
        if num_workers > len(gpus):
            msg = (
                f"diffopt: --gpu gives each worker a GPU of its own, got: {counted(num_workers, 'worker')} (-n) "
                f"and {counted(len(gpus), 'GPU')}; -n auto starts one for each"
            )
            raise pytest.UsageError(msg)
        self._free = list(gpus)
        self._taken: dict[str, str] = {}

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Hand a worker its GPU before it starts."""
        gpu = self._free.pop(0)
        self._taken[node.gateway.id] = gpu
        node.workerinput[_INPUT] = gpu

    @pytest.hookimpl(optionalhook=True, tryfirst=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take the GPU back: xdist may start another worker in place of this one."""
        gpu = self._taken.pop(node.gateway.id, None)
        if gpu is not None:
            self._free.append(gpu)
