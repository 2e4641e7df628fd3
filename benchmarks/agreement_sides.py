"""One side of the comparison of the simulated GPU with CUDA, in a process of its own.

    python -m benchmarks.agreement_sides simulated < request.json

A process that uses CUDA cannot have a simulated GPU that is true to one without, so each side has its own process. It
reads a request from stdin, `{"gpu_model": "nvidia-h200", "cases": [NAME, ...]}`, and writes one line of JSON to stdout
when a case starts and one when it ends. Whatever else is printed goes to stderr.
"""

import gc
import json
import math
import os
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from enum import StrEnum
from typing import Any, TextIO

import torch
from torch.profiler import ProfilerActivity, profile, record_function
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.agreement import Reading
from benchmarks.agreement_attention import choices_on, choices_on_cuda
from benchmarks.agreement_cases import ATTENTION, Case, all_cases
from pytest_diffopt._torch_private.cuda_memory import release_library_workspaces
from pytest_diffopt.null_gpu.counters import TallyKind, counting
from pytest_diffopt.null_gpu.sync_lines import recording_syncs
from pytest_diffopt.probes.sync_warnings import noting_sync_warnings
from pytest_diffopt.records.code_location import users_line
from pytest_diffopt.simulated_gpu import Counts, SimulatedGPU

_LAUNCHES = frozenset({"cudaLaunchKernel", "cudaLaunchKernelExC", "cuLaunchKernel", "cuLaunchKernelEx"})
# A blocking copy from or to pageable memory calls the first; the others are explicit calls.
_SYNCS = frozenset({"cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize", "cudaMemcpy"})
_WATCHED = "the call"
_VALUES_AT_FULL_SIZE = 4096  # elements, as in probes/on_simulated_gpu.py


class Side(StrEnum):
    """A device."""

    SIMULATED = "simulated"
    NULL = "null"
    GPU = "gpu"


def main() -> int:
    """Read the cases of the request on one side."""
    side = Side(sys.argv[1])
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1, encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # a library's output is no answer
    request = json.loads(sys.stdin.read())
    by_name = {case.name: case for case in all_cases()}
    gc.collect()
    gc.freeze()  # a collection of everything that is imported takes half a second, and each case makes several
    for name in request["cases"]:
        _print_line(answers, {"case": name, "started": True})
        _print_line(answers, {"case": name, **_attempt(side, by_name[name], request["gpu_model"])})
    return 0


def _print_line(answers: TextIO, line: Mapping[str, Any]) -> None:
    answers.write(json.dumps(line) + "\n")


def _attempt(side: Side, case: Case, gpu_model: str) -> Mapping[str, Any]:
    try:
        reading = read_simulated(case, gpu_model) if side is Side.SIMULATED else _READ[side](case)
    except Exception as error:  # noqa: BLE001 - a failed case is reported, and the others are compared
        return {"failed": f"{type(error).__name__}: {error}".splitlines()[0]}
    return {"reading": asdict(reading)}


def read_simulated(case: Case, gpu_model: str) -> Reading:
    """Run a case on the simulated GPU."""
    limit = _VALUES_AT_FULL_SIZE if case.is_full_size else math.inf
    with SimulatedGPU(gpu_model, real_up_to=limit, placeholder_values=case.is_full_size) as gpu:
        if not case.is_full_size:
            case.prepare(gpu.device)()  # as on CUDA, where it allocates workspaces
        gc.collect()
        call = case.prepare(gpu.device)
        choices = choices_on(gpu) if case.name == ATTENTION else {}
        before = gpu.live_memory_bytes
        gpu.enter_phase(_WATCHED)
        call()
        gpu.enter_phase(None)
    reported, every = simulated_syncs(gpu, _WATCHED)
    counts = gpu.phases.get(_WATCHED, Counts())
    return Reading(
        syncs=reported,
        all_syncs=every,
        flops=counts.flops,
        launches=counts.launches,
        operations=counts.operations,
        choices=choices,
        peak_bytes=counts.peak_memory_bytes + gpu.workspace_bytes
        if case.is_full_size
        else max(0, counts.peak_memory_bytes - before),
    )


def simulated_syncs(gpu: SimulatedGPU, phase: str) -> tuple[dict[str, int], dict[str, int]]:
    """Return how often each line synchronized in a phase, as the sync debug mode reports it, and in all."""
    syncs = [sync for sync in gpu.syncs if sync.phase == phase]
    return _by_line(sync.where for sync in syncs if sync.is_reported), _by_line(sync.where for sync in syncs)


def _by_line(places: Iterator[object]) -> dict[str, int]:
    return dict(Counter(map(str, places)))  # a plain dict: `asdict` cannot copy a Counter


def read_null(case: Case) -> Reading:
    """Run a case on the null GPU, which has counters in place of the profiler's events."""
    from pytest_diffopt.null_gpu.values.computing import Values, computing  # noqa: PLC0415 - needs the CUDA build

    choices = choices_on_cuda() if case.name == ATTENTION else {}  # with values, torch would choose the CPU's kernel
    with computing(Values.SMALL if case.is_full_size else Values.ALL):
        if not case.is_full_size:
            _fresh(case)()
        call, before = _fresh_and_held(case)
        with counting() as phase, all_syncs() as syncs, reported_syncs() as reported:
            call()
        peak_bytes = torch.cuda.max_memory_allocated() - before
        del call
        return Reading(
            syncs=dict(reported),
            all_syncs=dict(syncs),
            flops=None if case.is_full_size else _flops(_fresh(case)),
            launches=phase.counts.total(TallyKind.KERNEL) + phase.counts.total(TallyKind.LIBRARY_CALL),
            peak_bytes=peak_bytes,
            choices=choices,
        )


@contextmanager
def reported_syncs() -> Iterator[Counter[str]]:
    """Count the syncs that torch's sync debug mode reports in the block, by line."""
    lines = Counter[str]()
    before = torch.cuda.get_sync_debug_mode()
    with noting_sync_warnings(lambda frame: lines.update([str(users_line(frame))])):
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield lines
        finally:
            torch.cuda.set_sync_debug_mode(before)


@contextmanager
def all_syncs() -> Iterator[Counter[str]]:
    """Count all syncs that the null GPU makes in the block, by line."""
    lines = Counter[str]()
    with recording_syncs(lambda _: lines.update([str(users_line(sys._getframe(1)))])):  # noqa: SLF001
        yield lines


def read_real(case: Case) -> Reading:
    """Run a case on a GPU, once for each measurement, because the measurements disturb each other."""
    if not case.is_full_size:
        _fresh(case)()  # the first call loads libraries and allocates workspaces
    call, before = _fresh_and_held(case)
    call()
    peak_bytes = torch.cuda.max_memory_allocated() - before
    call = _fresh(case)
    with reported_syncs() as reported:
        call()
    events = _events(_fresh(case))
    return Reading(
        syncs=dict(reported),
        all_syncs={"the whole call": sum(events[name] for name in _SYNCS)},
        flops=None if case.is_full_size else _flops(_fresh(case)),
        launches=sum(events[name] for name in _LAUNCHES),
        peak_bytes=peak_bytes,
        choices=choices_on_cuda() if case.name == ATTENTION else {},
    )


_READ: Mapping[Side, Callable[[Case], Reading]] = {Side.NULL: read_null, Side.GPU: read_real}


def _fresh(case: Case) -> Callable[[], object]:
    """Prepare a case from scratch: schedulers have state, and cached blocks of an earlier case would be used again."""
    gc.collect()
    torch.cuda.empty_cache()
    call = case.prepare(torch.device("cuda"))
    torch.cuda.synchronize()
    return call


def _fresh_and_held(case: Case) -> tuple[Callable[[], object], int]:
    """Prepare a case and reset the peak; return its call, and the bytes that do not belong to it.

    They are all that was allocated before the call, or at full size, where the peak includes the weights, all that was
    allocated before these: earlier cases leave tensors in caches of their models, and cuBLAS its workspace.
    """
    gc.collect()
    if case.is_full_size:  # a tiny case has run once, so that it has its workspaces
        release_library_workspaces()
    held = torch.cuda.memory_allocated()
    call = _fresh(case)
    torch.cuda.reset_peak_memory_stats()
    return call, held if case.is_full_size else torch.cuda.memory_allocated()


def _flops(call: Callable[[], object]) -> int:
    with FlopCounterMode(display=False) as counter, warnings.catch_warnings():
        call()
    return int(counter.get_total_flops())


def _events(call: Callable[[], object]) -> Counter[str]:
    """Count the traced events within the call; the profiler itself synchronizes when it ends."""
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as trace, record_function(_WATCHED):
        call()
    events = list(trace.events() or ())
    watched = next(event.time_range for event in events if event.name == _WATCHED)
    return Counter(event.name for event in events if watched.start <= event.time_range.start <= watched.end)


if __name__ == "__main__":
    sys.exit(main())
