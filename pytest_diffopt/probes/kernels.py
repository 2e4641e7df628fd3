"""What a call launches on the null GPU: kernels by name, library calls, CUDA graphs, copies, allocations."""

import gc
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from pytest_diffopt._torch_private.cuda_memory import memory_pool_of_its_own
from pytest_diffopt.null_gpu.counters import Counts, Tally, TallyKind, read_counts
from pytest_diffopt.null_gpu.kernel_names import readable_kernel
from pytest_diffopt.probes.denoise_loop import DenoiseLoop, has_denoise_loop, watch_denoise_loop
from pytest_diffopt.probes.denoiser_calls import watch_denoisers
from pytest_diffopt.probes.null_gpu_launches import launches_so_far
from pytest_diffopt.records import DenoiserEvidence, KernelRecord, PhaseKernels, Subject
from pytest_diffopt.records.denoise_phases import AFTER_LOOP, BEFORE_LOOP, WHOLE_CALL, merged_steps

# A call compiles, the next one may capture CUDA graphs, the one after it replays them.
_MOST_CALLS = 6
_LAUNCHES = (
    TallyKind.KERNEL,
    TallyKind.GRAPH_KERNEL,
    TallyKind.LIBRARY_CALL,
    TallyKind.GRAPH_LIBRARY_CALL,
    TallyKind.GRAPH_LAUNCH,
)


def count_kernels(target: Any, call: Callable[[], object], subject: Subject, *, seen_by: str) -> KernelRecord:
    """Make a call on the null GPU until two in a row launch the same, and return what the last one launched.

    The last call starts with an empty cache of the allocator and allocates from a pool of its own, so that its figures
    do not depend on what the process holds besides.

    Args:
        target: what is called, for its denoise loop.
        call: makes the call.
        subject: description of the target.
        seen_by: name of the null GPU.

    Raises:
        NullGpuError: this process does not run on the null GPU.
        ProbeError: the pipeline never entered its denoise loop.
    """
    __tracebackhide__ = True
    before = _launches_of(call)
    for _ in range(_MOST_CALLS - 2):
        now = _launches_of(call)
        if now == before:
            break
        before = now
    counted = _Phases()
    loop, denoiser = _make_counted(target, call, counted)
    last = _sum(counted.seen.values(), _LAUNCHES)
    return KernelRecord(
        subject=subject,
        seen_by=seen_by,
        num_steps=loop.num_steps if loop else 0,
        phases=tuple(_phase(name, seen) for name, seen in merged_steps(counted.seen)),
        is_settled=last == before,
        unmodelled=tuple(sorted(name for _kind, name in _sum(counted.seen.values(), (TallyKind.UNMODELLED,)))),
        denoiser=denoiser,
    )


def _launches_of(call: Callable[[], object]) -> Counter[tuple[TallyKind, str]]:
    before = read_counts()
    call()
    return _by_name(read_counts() - before, _LAUNCHES)


def _make_counted(
    target: Any, call: Callable[[], object], counted: "_Phases"
) -> tuple[DenoiseLoop | None, DenoiserEvidence | None]:
    __tracebackhide__ = True
    gc.collect()
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    with ExitStack() as stack:
        stack.enter_context(memory_pool_of_its_own("cuda"))
        loop = denoisers = None
        if has_denoise_loop(target):
            loop = stack.enter_context(watch_denoise_loop(target, counted.enter_step))
            denoisers = stack.enter_context(watch_denoisers(target, partial(getattr, loop, "step"), launches_so_far))
        counted.start(BEFORE_LOOP if loop else WHOLE_CALL)
        call()
        counted.enter(None)
    if loop is None or denoisers is None:
        return None, None
    loop.require_entered(target)
    return loop, denoisers.evidence(loop.num_steps)


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """The counts of a phase, and the allocator's peaks in it above what was in use before the call, in bytes."""

    counts: Counts
    peak_allocated_bytes: int
    peak_reserved_bytes: int

    def joined(self, later: "_Seen") -> "_Seen":
        """Return both parts of a phase as one."""
        return _Seen(
            counts=self.counts + later.counts,
            peak_allocated_bytes=max(self.peak_allocated_bytes, later.peak_allocated_bytes),
            peak_reserved_bytes=max(self.peak_reserved_bytes, later.peak_reserved_bytes),
        )


class _Phases:
    """What was seen in each phase, in order."""

    def __init__(self) -> None:
        self.seen: dict[Hashable, _Seen] = {}
        self._phase: Hashable = None
        self._allocated = self._reserved = 0
        self._before = Counts()

    def start(self, phase: Hashable) -> None:
        """Start with the first phase; the allocator's figures are counted from here."""
        self._allocated, self._reserved = torch.cuda.memory_allocated(), torch.cuda.memory_reserved()
        self.enter(phase)

    def enter_step(self, step: int | None) -> None:
        """Start a denoise step; None after the loop. What follows the last update is a step if it does anything."""
        if step is None and read_counts() == self._before:
            self._phase = None
        self.enter(AFTER_LOOP if step is None else step)

    def enter(self, phase: Hashable) -> None:
        """End the current phase and start another; None after the call."""
        now = read_counts()
        if self._phase is not None:
            seen = _Seen(
                counts=now - self._before,
                peak_allocated_bytes=torch.cuda.max_memory_allocated() - self._allocated,
                peak_reserved_bytes=torch.cuda.max_memory_reserved() - self._reserved,
            )
            before = self.seen.get(self._phase)  # a chain of pipelines has several loops
            self.seen[self._phase] = before.joined(seen) if before else seen
        torch.cuda.reset_peak_memory_stats()
        self._phase, self._before = phase, now


def _phase(name: str, seen: _Seen) -> PhaseKernels:
    counts = seen.counts
    in_graphs = (TallyKind.GRAPH_KERNEL, TallyKind.GRAPH_LIBRARY_CALL)
    return PhaseKernels(
        phase=name,
        kernels=_kernels(counts),
        library_calls=_merged(counts, TallyKind.LIBRARY_CALL, TallyKind.GRAPH_LIBRARY_CALL),
        graph_launches=counts.total(TallyKind.GRAPH_LAUNCH),
        launches_in_graphs=sum(map(counts.total, in_graphs)),
        copies=_numbers(counts.of(TallyKind.COPY)),
        copied_bytes={name: tally.bytes for name, tally in sorted(counts.of(TallyKind.COPY).items())},
        fills=counts.total(TallyKind.FILL),
        filled_bytes=counts.total_bytes(TallyKind.FILL),
        allocations=_numbers(counts.of(TallyKind.ALLOCATION)),
        peak_allocated_bytes=seen.peak_allocated_bytes,
        peak_reserved_bytes=seen.peak_reserved_bytes,
    )


def _kernels(counts: Counts) -> dict[str, int]:
    found: Counter[str] = Counter()
    for name, number in _merged(counts, TallyKind.KERNEL, TallyKind.GRAPH_KERNEL).items():
        found[readable_kernel(name)] += number
    return dict(sorted(found.items()))


def _merged(counts: Counts, *kinds: TallyKind) -> dict[str, int]:
    found: Counter[str] = Counter()
    for kind in kinds:
        found.update(_numbers(counts.of(kind)))
    return dict(sorted(found.items()))


def _numbers(tallies: Mapping[str, Tally]) -> dict[str, int]:
    return {name: tally.count for name, tally in sorted(tallies.items())}


def _by_name(counts: Counts, kinds: tuple[TallyKind, ...]) -> Counter[tuple[TallyKind, str]]:
    return Counter({(kind, name): tally.count for kind in kinds for name, tally in counts.of(kind).items()})


def _sum(seen: Iterable[_Seen], kinds: tuple[TallyKind, ...]) -> Counter[tuple[TallyKind, str]]:
    total: Counter[tuple[TallyKind, str]] = Counter()
    for one in seen:
        total.update(_by_name(one.counts, kinds))
    return total
