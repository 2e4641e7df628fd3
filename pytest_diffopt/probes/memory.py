"""The most memory that one warm call holds: on a real device, or on the simulated GPU."""

import gc
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from pytest_diffopt.errors import ProbeError
from pytest_diffopt.probes.calls import repeatable_call
from pytest_diffopt.probes.latency import Call
from pytest_diffopt.probes.on_simulated_gpu import moved, on_simulated_gpu
from pytest_diffopt.probes.out_of_memory import call_within_memory
from pytest_diffopt.probes.timed_device import device_synchronizer
from pytest_diffopt.records import MemoryRecord, Subject

_NO_ALLOCATOR = "peak memory can only be measured on a device with torch's caching allocator"


def measure_peak_memory_cuda(call: Call, subject: Subject, *, device: torch.device | str = "cuda") -> MemoryRecord:
    """Make a call twice, and return what the second one held at its peak: what compiling and autotuning held is gone.

    What the warm-up call left in the allocator's cache is released between the two: it would count as reserved though
    no warm call needs it. The weights count, as they must be there.

    It was never run on a GPU: the order of its steps, and what it says when memory runs out, are tested with the
    functions of `torch.cuda` replaced. That the figures agree with the GPU's own is not tested.

    Args:
        call: what is watched.
        subject: what the call runs.
        device: the device on which it runs.

    Raises:
        ProbeError: There is no such device, it counts no memory, or it ran out of it.
    """
    synchronize = device_synchronizer(device)
    allocator = torch.get_device_module(torch.device(device).type)
    if not hasattr(allocator, "max_memory_allocated"):
        message = f"{_NO_ALLOCATOR}, got: {device}"
        raise ProbeError(message)
    call_within_memory(call, subject=subject, when="during warm-up")
    synchronize()
    gc.collect()
    allocator.empty_cache()
    allocator.reset_peak_memory_stats(device)
    call_within_memory(call, subject=subject, when="after warm-up")
    synchronize()
    return MemoryRecord(
        subject=subject,
        peak_allocated_bytes=allocator.max_memory_allocated(device),
        peak_reserved_bytes=allocator.max_memory_reserved(device),
        seen_by="torch's caching allocator",
    )


def measure_peak_memory_simulated(
    target: Any, args: Sequence[Any], inputs: Mapping[str, Any], subject: Subject
) -> MemoryRecord:
    """Count what a call would hold at its peak on a GPU, the weights included; exact, and the same on every machine.

    Args:
        target: a pipeline, module or callable.
        args: with `inputs`, the call.
        inputs: keywords of the call.
        subject: what the call runs.
    """
    with on_simulated_gpu(target) as gpu:
        repeatable_call(target, moved(tuple(args), gpu.device), moved(dict(inputs), gpu.device))()
    return MemoryRecord(
        subject=subject,
        peak_allocated_bytes=gpu.peak_memory_bytes,
        peak_reserved_bytes=0,
        seen_by="the simulated GPU",
    )
