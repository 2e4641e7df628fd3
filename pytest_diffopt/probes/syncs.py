"""Host-device synchronizations inside the denoise loop, on the simulated GPU or on a real one."""

import sys
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from types import FrameType
from typing import Any

import torch

from pytest_diffopt.environment import capture_environment
from pytest_diffopt.errors import ProbeError
from pytest_diffopt.null_gpu.sync_lines import Sync, recording_syncs
from pytest_diffopt.probes.denoise_loop import DenoiseLoop, has_denoise_loop, watch_denoise_loop
from pytest_diffopt.probes.denoiser_calls import watch_denoisers
from pytest_diffopt.probes.first_call import FirstCall, observed
from pytest_diffopt.probes.null_gpu_launches import launches_so_far
from pytest_diffopt.probes.on_simulated_gpu import moved, on_simulated_gpu
from pytest_diffopt.probes.step_operations import GpuOperations, StepOperations, last_step, per_step
from pytest_diffopt.probes.sync_warnings import noting_sync_warnings
from pytest_diffopt.records import Device, ObservedSync, Subject, SyncRecord
from pytest_diffopt.records.code_location import moves_weights, users_line
from pytest_diffopt.simulated_gpu import Counts


class SyncWatch:
    """A watch of one block; `record` is available once the block has ended.

    Args:
        device: device of the tensors of a watched call.
        unwatched: returns a context whose work belongs to no step.
        first_call: the part of the simulated GPU that distinguishes the first call from a repeated one; None elsewhere.
    """

    def __init__(
        self,
        device: torch.device,
        unwatched: Callable[[], AbstractContextManager[None]],
        first_call: "FirstCall | None" = None,
    ) -> None:
        self._device = device
        self._unwatched = unwatched
        self._first_call = first_call
        self._record: SyncRecord | None = None

    @property
    def syncs_in_first_step(self) -> tuple[ObservedSync, ...]:
        """The synchronizations so far in the first step; empty where a call is not repeated."""
        return self._first_call.syncs_in_first_step() if self._first_call else ()

    def repeat(self, call: Callable[[], object]) -> None:
        """Make the call again: what synchronizes in the first call alone fills a cache."""
        __tracebackhide__ = True
        if self._first_call:
            self._first_call.end()
            call()

    def moved(self, values: Any) -> Any:
        """Return the arguments with every tensor moved to the watched device; the move belongs to no step."""
        with self._unwatched():
            return moved(values, self._device)

    @property
    def record(self) -> SyncRecord:
        """The observed synchronizations.

        Raises:
            ProbeError: the block has not ended yet.
        """
        if self._record is None:
            msg = "a sync record is available only after its block has ended: read it after the with statement"
            raise ProbeError(msg)
        return self._record

    def finish(self, record: SyncRecord) -> None:
        """Set the record."""
        self._record = record


def watch_syncs(target: Any, subject: Subject) -> AbstractContextManager[SyncWatch]:
    """Watch a pipeline's denoise loop; the whole block counts as one step for a bare callable or module.

    On a real GPU (`subject.device` is `CUDA`), torch's sync debug mode is enabled inside the loop only. The null GPU
    reports its own syncs. Otherwise the pipeline is moved to a simulated GPU while the block runs, and moved back
    afterwards.

    Args:
        target: the pipeline, callable or module that is called within the block.
        subject: description of the target; its device selects the instrument.
    """
    return _WATCHES.get(subject.device, _watch_simulated)(target, subject)


@contextmanager
def _watch_simulated(target: Any, subject: Subject) -> Iterator[SyncWatch]:
    with on_simulated_gpu(target) as gpu:
        calls = FirstCall(gpu)
        with _steps_of(target, calls.enter_phase) as loop:
            calls.loop = loop
            watch = SyncWatch(gpu.device, lambda: _unwatched(loop, calls.enter_phase), calls)
            with watch_denoisers(target, calls.step_now, lambda: gpu.operations) as denoisers:
                yield watch
    _require_steps(loop, target)
    num_steps = calls.num_steps
    seen = [(sync, last_step(sync.phase, num_steps)) for sync in gpu.syncs if isinstance(sync.phase, int)]
    syncs, only_first = calls.split([observed(sync, step) for sync, step in seen if not sync.is_offload])
    counts = _counts_per_step(gpu.phases, num_steps)
    watch.finish(
        SyncRecord(
            subject=subject,
            num_steps=num_steps,
            syncs=syncs,
            first_call_syncs=only_first,
            seen_by="the simulated GPU",
            unmodelled=tuple(gpu.unmodelled),
            placeholders=tuple(dict.fromkeys(where for _operation, where in gpu.placeholders)),
            operations=tuple(one.operations for one in counts),
            denoiser=denoisers.evidence(num_steps) if loop else None,
            bytes_to_device=tuple(one.bytes_to_device for one in counts),
            bytes_to_host=tuple(one.bytes_to_host for one in counts),
            offload_syncs=per_step(Counter(step for sync, step in seen if sync.is_offload), num_steps),
        )
    )


def _counts_per_step(phases: Mapping[Hashable, Counts], num_steps: int) -> tuple[Counts, ...]:
    """Return the counts of each step; work after the last update belongs to the last step."""
    steps = [Counts() for _ in range(num_steps)]
    for phase, counts in phases.items():
        if isinstance(phase, int):
            steps[last_step(phase, num_steps)] += counts
    return tuple(steps)


@contextmanager
def _watch_cuda(target: Any, subject: Subject) -> Iterator[SyncWatch]:
    """Record the warnings of `torch.cuda.set_sync_debug_mode("warn")` inside the loop.

    The warnings have no stack, but each is issued by the synchronizing thread during the synchronizing call: the stack
    at that moment contains the line. Not yet run on a GPU: tests issue the warnings that torch's source defines.
    """
    loop: DenoiseLoop | None = None
    syncs: list[ObservedSync] = []
    offload_steps: list[int] = []
    users_mode = torch.cuda.get_sync_debug_mode()
    gpu = GpuOperations()
    steps = StepOperations(gpu.so_far)

    def arm_in(step: int | None) -> None:
        # Only inside of a step: during CUDA graph capture the mode would invalidate the context.
        torch.cuda.set_sync_debug_mode(users_mode if step is None else "warn")
        steps.enter(step)

    def note(frame: FrameType) -> None:
        if moves_weights(frame):
            offload_steps.append(_step_now(loop))
        else:
            syncs.append(_real_sync(frame, _step_now(loop)))

    with ExitStack() as stack:
        stack.enter_context(noting_sync_warnings(note))
        stack.enter_context(gpu)
        stack.callback(arm_in, None)
        loop = stack.enter_context(_steps_of(target, arm_in))
        denoisers = stack.enter_context(watch_denoisers(target, lambda: loop.step if loop else None, gpu.so_far))
        watch = SyncWatch(torch.device("cuda"), lambda: _unwatched(loop, arm_in))
        yield watch
    _require_steps(loop, target)
    num_steps = loop.num_steps if loop else 1
    clipped = tuple(replace(sync, step=last_step(sync.step, num_steps)) for sync in syncs)
    watch.finish(
        SyncRecord(
            subject=subject,
            num_steps=num_steps,
            syncs=clipped,
            seen_by="the GPU (sync debug mode)",
            operations=per_step(steps.by_step, num_steps),
            denoiser=denoisers.evidence(num_steps) if loop else None,
            offload_syncs=per_step(Counter(offload_steps), num_steps),
        )
    )


@contextmanager
def _watch_null_gpu(target: Any, subject: Subject) -> Iterator[SyncWatch]:
    """Record each call that blocks the host inside the loop, on any thread and from any library."""
    loop: DenoiseLoop | None = None
    launches, syncs, offload_steps = StepOperations(launches_so_far), list[ObservedSync](), list[int]()

    def note(sync: Sync) -> None:
        if launches.step is None:
            return
        frame = sys._getframe(1)  # noqa: SLF001 - CPython has no public equivalent as fast
        if moves_weights(frame):
            offload_steps.append(launches.step)
        else:
            where = users_line(frame)
            operation = _sync_in(where.source)
            syncs.append(ObservedSync(kind=sync.api, operation=operation, where=where, step=launches.step))

    with ExitStack() as stack:
        stack.enter_context(recording_syncs(note))
        loop = stack.enter_context(_steps_of(target, launches.enter))
        denoisers = stack.enter_context(watch_denoisers(target, lambda: launches.step, launches_so_far))
        watch = SyncWatch(torch.device("cuda"), lambda: _unwatched(loop, launches.enter))
        yield watch
    _require_steps(loop, target)
    num_steps = loop.num_steps if loop else 1
    watch.finish(
        SyncRecord(
            subject=subject,
            num_steps=num_steps,
            syncs=tuple(replace(sync, step=last_step(sync.step, num_steps)) for sync in syncs),
            seen_by=f"the {capture_environment(subject.device).device_name}",
            operations=per_step(launches.by_step, num_steps),
            denoiser=denoisers.evidence(num_steps) if loop else None,
            offload_syncs=per_step(Counter(offload_steps), num_steps),
        )
    )


def _real_sync(frame: FrameType, step: int) -> ObservedSync:
    where = users_line(frame)
    return ObservedSync(kind="sync", operation=_sync_in(where.source), where=where, step=step)


def _sync_in(source: str) -> str:
    """Guess the synchronizing operation from its line: torch's warning does not name it."""
    return next((name for name in (".item()", ".cpu()", ".tolist()", ".nonzero()", ".to(") if name in source), "a sync")


def _step_now(loop: DenoiseLoop | None) -> int:
    return loop.step or 0 if loop else 0


@contextmanager
def _steps_of(target: Any, on_step: Callable[[int | None], None]) -> Iterator[DenoiseLoop | None]:
    """Report each step of a pipeline's loop; without a loop the whole block is step 0."""
    if has_denoise_loop(target):
        with watch_denoise_loop(target, on_step) as loop:
            yield loop
        return
    on_step(0)
    try:
        yield None
    finally:
        on_step(None)


@contextmanager
def _unwatched(loop: DenoiseLoop | None, on_step: Callable[[int | None], None]) -> Iterator[None]:
    """Assign the work of the block to no step."""
    on_step(None)
    try:
        yield
    finally:
        on_step(loop.step if loop else 0)


def _require_steps(loop: DenoiseLoop | None, target: Any) -> None:
    if loop is not None:
        loop.require_entered(target)


_WATCHES = {Device.CUDA: _watch_cuda, Device.NULL_GPU: _watch_null_gpu}
