"""Peak memory of one warm call, on a real device or on the simulated GPU."""

import gc
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from pytest_diffopt.errors import ProbeError
from pytest_diffopt.probes.calls import repeatable_call
from pytest_diffopt.probes.latency import Call
from pytest_diffopt.probes.memory_holders import holders_of
from pytest_diffopt.probes.on_simulated_gpu import moved, on_simulated_gpu
from pytest_diffopt.probes.out_of_memory import call_within_memory
from pytest_diffopt.probes.timed_device import device_synchronizer
from pytest_diffopt.records import MemoryRecord, Subject

_NO_ALLOCATOR = "peak memory can only be measured on a device with torch's caching allocator"


def measure_peak_memory_cuda(call: Call, subject: Subject, *, device: torch.device | str = "cuda") -> MemoryRecord:
    """Make a call twice, and return the peak memory of the second: compilation and autotuning are excluded.

    The allocator's cache is emptied between the calls, since memory cached during warm-up would count as reserved
    although no warm call needs it. The weights are included.

    Not yet run on a GPU: the order of steps and the message for an out-of-memory error are tested with the functions of
    `torch.cuda` replaced. The figures have not been compared with those of a GPU.

    Args:
        call: makes the measured call.
        subject: what the call runs.
        device: the device on which it runs.

    Raises:
        ProbeError: the device does not exist, has no memory statistics, or ran out of memory.
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
    """Return the peak memory of a call on the simulated GPU, weights included: exact, and equal on every machine.

    Args:
        target: a pipeline, module or callable.
        args: positional arguments of the call.
        inputs: keyword arguments of the call.
        subject: what the call runs.
    """
    with on_simulated_gpu(target) as gpu:
        repeatable_call(target, moved(tuple(args), gpu.device), moved(dict(inputs), gpu.device))()
    return MemoryRecord(
        subject=subject,
        peak_allocated_bytes=gpu.peak_memory_bytes,
        peak_reserved_bytes=0,
        seen_by="the simulated GPU",
        operations=gpu.counts.operations,
        peak_holders=holders_of(gpu.peak_holders),
    )
