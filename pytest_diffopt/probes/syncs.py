"""Where the CPU waits for the GPU inside the denoise loop: on the simulated GPU, or on a real one."""

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from types import FrameType
from typing import Any

import torch

from pytest_diffopt.errors import ProbeError
from pytest_diffopt.probes.denoise_loop import DenoiseLoop, has_denoise_loop, watch_denoise_loop
from pytest_diffopt.probes.on_simulated_gpu import moved, on_simulated_gpu
from pytest_diffopt.records import Device, ObservedSync, Subject, SyncRecord
from pytest_diffopt.records.code_location import users_line

# What torch says under set_sync_debug_mode("warn"); c10/cuda/CUDAFunctions.cpp, torch 2.13.
_TORCH_SAYS = "called a synchronizing CUDA operation"


class SyncWatch:
    """A running watch; `record` is there once the block has ended.

    Args:
        device: where the tensors of a watched call must be.
        unwatched: what happens in its block belongs to no step.
    """

    def __init__(self, device: torch.device, unwatched: Callable[[], AbstractContextManager[None]]) -> None:
        self._device = device
        self._unwatched = unwatched
        self._record: SyncRecord | None = None

    def moved(self, values: Any) -> Any:
        """Return the same arguments with every tensor on the device that watches; that is no part of the call."""
        with self._unwatched():
            return moved(values, self._device)

    @property
    def record(self) -> SyncRecord:
        """What was seen.

        Raises:
            ProbeError: the block has not ended yet.
        """
        if self._record is None:
            msg = "a sync record is complete only when its block has ended: read it after the with statement"
            raise ProbeError(msg)
        return self._record

    def finish(self, record: SyncRecord) -> None:
        """Take the finished record."""
        self._record = record


def watch_syncs(target: Any, subject: Subject) -> AbstractContextManager[SyncWatch]:
    """Watch a pipeline's denoise loop, or the whole of a bare callable or module as if it were one step.

    On a real GPU (`subject.device` is `CUDA`) torch's own sync debug mode is armed inside the loop only. Elsewhere the
    pipeline is moved to a simulated GPU for the length of the block, and is back where it was after it.

    Args:
        target: the pipeline, callable or module that is called within the block.
        subject: what it is; its device decides who watches.
    """
    return _watch_cuda(target, subject) if subject.device is Device.CUDA else _watch_simulated(target, subject)


@contextmanager
def _watch_simulated(target: Any, subject: Subject) -> Iterator[SyncWatch]:
    with on_simulated_gpu(target) as gpu, _steps_of(target, gpu.enter_phase) as loop:
        watch = SyncWatch(gpu.device, lambda: _unwatched(loop, gpu.enter_phase))
        yield watch
    _require_steps(loop, target)
    num_steps = loop.num_steps if loop else 1
    syncs = tuple(
        ObservedSync(
            kind=sync.kind.value,
            operation=sync.shown_as,
            where=sync.where,
            step=_last_step(sync.phase, num_steps),
        )
        for sync in gpu.syncs
        if isinstance(sync.phase, int)
    )
    watch.finish(
        SyncRecord(
            subject=subject,
            num_steps=num_steps,
            syncs=syncs,
            seen_by="the simulated GPU",
            unmodelled=tuple(gpu.unmodelled),
            placeholders=tuple(dict.fromkeys(where for _operation, where in gpu.placeholders)),
        )
    )


@contextmanager
def _watch_cuda(target: Any, subject: Subject) -> Iterator[SyncWatch]:
    """Count what `torch.cuda.set_sync_debug_mode("warn")` reports inside the loop.

    Its warnings carry no stack, but they are raised on the thread that waited while the waiting call returns, so the
    stack at that moment names the line. Never run on a GPU so far: tests drive it with the warnings that torch's
    source promises.
    """
    loop: DenoiseLoop | None = None
    syncs: list[ObservedSync] = []
    users_mode = torch.cuda.get_sync_debug_mode()

    def arm_in(step: int | None) -> None:
        # In a step and only there: inside CUDA graph capture the mode would wedge the context.
        torch.cuda.set_sync_debug_mode(users_mode if step is None else "warn")

    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        _count_warnings(lambda frame: syncs.append(_real_sync(frame, _step_now(loop))))
        stack.callback(arm_in, None)
        loop = stack.enter_context(_steps_of(target, arm_in))
        watch = SyncWatch(torch.device("cuda"), lambda: _unwatched(loop, arm_in))
        yield watch
    _require_steps(loop, target)
    num_steps = loop.num_steps if loop else 1
    clipped = tuple(replace(sync, step=_last_step(sync.step, num_steps)) for sync in syncs)
    watch.finish(SyncRecord(subject=subject, num_steps=num_steps, syncs=clipped, seen_by="the GPU (sync debug mode)"))


def _count_warnings(note: Callable[[FrameType], None]) -> None:
    """Send each of torch's sync warnings to `note`, and every other warning where it went before."""
    before = warnings.showwarning

    def showwarning(message: Warning | str, category: type[Warning], *rest: Any, **more: Any) -> None:
        if _TORCH_SAYS in str(message):
            note(sys._getframe(1))  # noqa: SLF001 - CPython's own way to a frame without a traceback
        else:
            before(message, category, *rest, **more)

    warnings.filterwarnings("always", message=f".*{_TORCH_SAYS}.*")
    warnings.filterwarnings("ignore", message=".*Synchronization debug mode is a prototype feature.*")
    warnings.showwarning = showwarning


def _real_sync(frame: FrameType, step: int) -> ObservedSync:
    where = users_line(frame)
    return ObservedSync(kind="wait", operation=_called(where.source), where=where, step=step)


def _called(source: str) -> str:
    """Name what waited as well as the line allows: torch does not say which operation it was."""
    return next((name for name in (".item()", ".cpu()", ".tolist()", ".nonzero()", ".to(") if name in source), "a wait")


def _step_now(loop: DenoiseLoop | None) -> int:
    return loop.step or 0 if loop else 0


def _last_step(step: int, num_steps: int) -> int:
    """Count what happens after the last update, and still inside the loop, to the last step."""
    return min(step, num_steps - 1)


@contextmanager
def _steps_of(target: Any, on_step: Callable[[int | None], None]) -> Iterator[DenoiseLoop | None]:
    """Tell each step of a pipeline's loop; without a loop the whole block is step 0."""
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
    """Let what happens in the block belong to no step."""
    on_step(None)
    try:
        yield
    finally:
        on_step(loop.step if loop else 0)


def _require_steps(loop: DenoiseLoop | None, target: Any) -> None:
    if loop is not None:
        loop.require_entered(target)
