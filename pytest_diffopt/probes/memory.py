"""Peak memory of one warm call, on a real device or on the simulated GPU."""

import gc
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from pytest_diffopt._torch_private.allocation_history import allocations_recorded
from pytest_diffopt._torch_private.cuda_memory import memory_pool_of_its_own, release_library_workspaces
from pytest_diffopt.errors import ProbeError
from pytest_diffopt.probes.calls import repeatable_call
from pytest_diffopt.probes.denoiser_calls import watch_denoisers
from pytest_diffopt.probes.device_operations import operations_counted
from pytest_diffopt.probes.held_memory import OtherTensors
from pytest_diffopt.probes.latency import Call
from pytest_diffopt.probes.memory_holders import holders_at_peak, holders_of
from pytest_diffopt.probes.on_simulated_gpu import moved, on_simulated_gpu
from pytest_diffopt.probes.out_of_memory import call_within_memory
from pytest_diffopt.probes.timed_device import device_synchronizer
from pytest_diffopt.records import Device, MemoryRecord, Subject

_NO_ALLOCATOR = "peak memory can only be measured on a device with torch's caching allocator"
_ALLOCATOR = "torch's caching allocator"
_ON_NULL_GPU = "torch's caching allocator on the null GPU"
# With CUDA graphs the first call of a module warms up and the second captures.
_WARMUP_CALLS = 2


def measure_peak_memory_cuda(
    call: Call,
    subject: Subject,
    *,
    target: Any = None,
    used: Sequence[Any] = (),
    device: torch.device | str = "cuda",
) -> MemoryRecord:
    """Return the peak memory of a warm call: what the call uses holds, and what the call adds to it.

    Two calls before it compile, autotune and capture. The figures depend on nothing else that lives in the process:
    tensors of others are subtracted, and the measured call allocates from a pool of its own, so that free memory which
    others have reserved serves it nothing. The weights are included; what the call's target holds counts as reserved
    without the allocator's rounding to segments. Operations are counted in the call before the measured one, which
    nothing watches but the allocator.

    Args:
        call: makes the measured call.
        subject: what the call runs.
        target: the called pipeline, for the operations of its denoisers; None for a call of something else.
        used: what the call uses: its target and its arguments; if empty, all memory that is held counts.
        device: the device on which it runs.

    Raises:
        ProbeError: the device does not exist, has no memory statistics, or ran out of memory.
    """
    synchronize = device_synchronizer(device)
    kind = torch.device(device).type
    allocator = torch.get_device_module(kind)
    if not hasattr(allocator, "max_memory_allocated"):
        message = f"{_NO_ALLOCATOR}, got: {device}"
        raise ProbeError(message)
    release_library_workspaces()
    gc.collect()
    other_tensors = OtherTensors(used, torch.device(device))
    for _ in range(_WARMUP_CALLS - 1):
        call_within_memory(call, subject=subject, when="during warm-up")
    with operations_counted(subject.device) as so_far, watch_denoisers(target, lambda: 0, so_far) as denoisers:
        before = so_far()
        call_within_memory(call, subject=subject, when="during warm-up")
        operations = so_far() - before
    synchronize()
    gc.collect()
    allocator.empty_cache()
    others = other_tensors.bytes_now()
    held, reserved = allocator.memory_allocated(device) - others, allocator.memory_reserved(device)
    allocator.reset_peak_memory_stats(device)
    with memory_pool_of_its_own(kind), allocations_recorded(device) as history:
        call_within_memory(call, subject=subject, when="after warm-up")
        synchronize()
    return MemoryRecord(
        subject=subject,
        peak_allocated_bytes=allocator.max_memory_allocated(device) - others,
        peak_reserved_bytes=held + allocator.max_memory_reserved(device) - reserved,
        seen_by=allocator_in_words(subject),
        operations=operations,
        denoiser=denoisers.evidence(1),
        peak_holders=holders_at_peak(history.events),
        held_before_bytes=held,
    )


def allocator_in_words(subject: Subject) -> str:
    """Return the name of the allocator that measured a call, for messages."""
    return _ON_NULL_GPU if subject.device is Device.NULL_GPU else _ALLOCATOR


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
    with (
        on_simulated_gpu(target) as gpu,
        watch_denoisers(target, lambda: 0, lambda: gpu.operations) as denoisers,
    ):
        repeatable_call(target, moved(tuple(args), gpu.device), moved(dict(inputs), gpu.device))()
    return MemoryRecord(
        subject=subject,
        peak_allocated_bytes=gpu.peak_memory_bytes,
        peak_reserved_bytes=0,
        seen_by="the simulated GPU",
        operations=gpu.operations,
        denoiser=denoisers.evidence(1),
        peak_holders=holders_of(gpu.peak_holders),
    )
