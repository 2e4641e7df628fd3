"""Live memory between the calls of a pipeline, on a real device or on the simulated GPU."""

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from pytest_diffopt.errors import ProbeError
from pytest_diffopt.probes.calls import repeatable_call
from pytest_diffopt.probes.denoiser_calls import watch_denoisers
from pytest_diffopt.probes.device_operations import operations_counted
from pytest_diffopt.probes.memory import allocator_in_words
from pytest_diffopt.probes.memory_holders import grown_holders
from pytest_diffopt.probes.on_simulated_gpu import moved, on_simulated_gpu
from pytest_diffopt.probes.timed_device import device_synchronizer
from pytest_diffopt.records import CallMemory, MemoryGrowthRecord, Subject

#: Calls with their labels, in order.
LabelledCalls = Sequence[tuple[str, Callable[[], object]]]

_NO_ALLOCATOR = "live memory can only be measured on a device with torch's caching allocator"


def measure_growth_cuda(
    target: Any, calls: LabelledCalls, subject: Subject, *, device: torch.device | str = "cuda"
) -> MemoryGrowthRecord:
    """Make the calls, and return the memory of tensors after each of them.

    Not yet run on a GPU: tested on the null GPU, and with the functions of `torch.cuda` replaced.

    Args:
        target: the called pipeline, module or callable.
        calls: the calls; the first one is repeated as `MemoryGrowthRecord` describes.
        subject: what the calls run.
        device: the device on which they run.

    Raises:
        ProbeError: the device does not exist or has no memory statistics.
    """
    synchronize = device_synchronizer(device)
    allocator = torch.get_device_module(torch.device(device).type)
    if not hasattr(allocator, "memory_allocated"):
        message = f"{_NO_ALLOCATOR}, got: {device}"
        raise ProbeError(message)

    def live_bytes() -> int:
        synchronize()
        return int(allocator.memory_allocated(device))

    with operations_counted(subject.device) as so_far:
        instrument = _Instrument(target=target, live_bytes=live_bytes, operations=so_far)
        measured = tuple(_after_each_call(calls, instrument))
    return MemoryGrowthRecord(subject=subject, calls=measured, seen_by=allocator_in_words(subject))


def measure_growth_simulated(
    target: Any, calls: Sequence[tuple[str, Mapping[str, Any]]], subject: Subject
) -> MemoryGrowthRecord:
    """Make the calls on the simulated GPU, and return the memory of tensors after each of them: exact.

    Args:
        target: a pipeline, module or callable.
        calls: the keywords of each call with its label; a call with a change (`.within`) is made inside it.
        subject: what the calls run.
    """
    held = []
    with on_simulated_gpu(target) as gpu:

        def live_bytes() -> int:
            held.append(gpu.live_holders)
            return gpu.live_tensor_bytes

        prepared = [(label, _changed_call(target, keywords, gpu.device)) for label, keywords in calls]
        instrument = _Instrument(target=target, live_bytes=live_bytes, operations=lambda: gpu.operations)
        measured = tuple(_after_each_call(prepared, instrument))
    _warm_up, settled, *_others, last = held
    return MemoryGrowthRecord(
        subject=subject, calls=measured, holders=grown_holders(settled, last), seen_by="the simulated GPU"
    )


def _changed_call(target: Any, keywords: Mapping[str, Any], device: torch.device) -> Callable[[], object]:
    call = repeatable_call(target, (), moved(dict(keywords), device))
    change = getattr(keywords, "change", None)
    return partial(_within, change, target, call) if change else call


def _within(change: Callable[[Any], Any], target: Any, call: Callable[[], object]) -> object:
    with change(target):
        return call()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Instrument:
    """What measures the calls.

    Attributes:
        target: what is called.
        live_bytes: returns the live memory of tensors now.
        operations: returns the number of operations on the device so far.
    """

    target: Any
    live_bytes: Callable[[], int]
    operations: Callable[[], int]

    def measured(self, name: str, call: Callable[[], object], collect: Callable[[], object]) -> CallMemory:
        """Make a call, and return what it ran and what is live after it."""
        before = self.operations()
        with watch_denoisers(self.target, lambda: 0, self.operations) as denoisers:
            call()  # its result is released at once
        operations = self.operations() - before
        collect()
        return CallMemory(
            call=name, live_bytes=self.live_bytes(), operations=operations, denoiser=denoisers.evidence(1)
        )


def _after_each_call(calls: LabelledCalls, instrument: _Instrument) -> Iterator[CallMemory]:
    """Make the first call twice, the others, and the first again; yield the memory after all but the first of these."""
    (label, first), *others = calls
    with _collected_quickly() as collect:
        instrument.measured(label, first, collect)
        for name, call in ((label, first), *others, (f"{label}, again", first)):
            yield instrument.measured(name, call, collect)


@contextmanager
def _collected_quickly() -> Iterator[Callable[[], object]]:
    """Yield a function that frees the reference cycles of the block.

    Cycles would be counted as memory that stays. A full collection takes half a second with torch imported, so the
    objects that exist before the block are left out of it.
    """
    is_ours = gc.get_freeze_count() == 0
    gc.collect()
    if is_ours:
        gc.freeze()
    try:
        yield gc.collect
    finally:
        if is_ours:
            gc.unfreeze()
