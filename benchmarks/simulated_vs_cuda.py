"""Run the same cases on the simulated GPU and on a real NVIDIA GPU, and print where the two agree.

    python -m benchmarks.simulated_vs_cuda --json agreement.json --budget-seconds 540

On the GPU torch's sync debug mode counts the syncs of each line. The profiler counts all syncs, including those that
the debug mode does not report, and launched kernels. `FlopCounterMode` counts FLOPs, and the caching allocator reports
memory. The JSON file is extended after each case, so the same command continues an interrupted run; a file of another
machine or torch version is refused. Without a GPU a few cases run on the simulated GPU alone, and nothing is compared.

The exit code is 0 if every case was compared, 1 if a case failed, 2 if the file cannot be continued, and 3 if the
budget ended first. A disagreement is a result, not a failure.

On the null GPU (`python -m pytest_diffopt null-gpu --values none -- python -m benchmarks.simulated_vs_cuda ...`) its
counters replace the profiler: a library call counts as one launch.

This has not run on a GPU yet, and not on the null GPU as a whole: the comparison, the budget and the table are tested.
"""

import argparse
import gc
import math
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile, record_function
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.agreement import Agreement, Reading, report
from benchmarks.agreement_cases import Case, cases
from benchmarks.on_gpu.command import Figures
from benchmarks.on_gpu.results import Results, ResultsError
from benchmarks.on_gpu.running import Budget, measure_all, positive_seconds
from pytest_diffopt.environment import gpu_device, gpu_name
from pytest_diffopt.null_gpu.activity import is_active
from pytest_diffopt.null_gpu.counters import TallyKind, counting
from pytest_diffopt.probes.syncs import watch_syncs
from pytest_diffopt.records import Subject
from pytest_diffopt.simulated_gpu import SimulatedGPU
from pytest_diffopt.simulated_gpu.cost.gpus import gpu_model, known_gpu_models

_LAUNCHES = frozenset({"cudaLaunchKernel", "cudaLaunchKernelExC", "cuLaunchKernel", "cuLaunchKernelEx"})
# A blocking copy from or to pageable memory calls the first; the others are explicit calls.
_SYNCS = frozenset({"cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize", "cudaMemcpy"})
_WATCHED = "the call"
_FAILED, _CANNOT_RUN, _CASES_LEFT = 1, 2, 3
# Several times the duration of a case once CUDA and the profiler are loaded; a started case is not interrupted.
_LEAST_SECONDS = 20.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare the remaining cases; without a GPU, run a few on the simulated GPU alone."""
    options = _parsed(arguments)
    if not torch.cuda.is_available():
        return _without_gpu()
    budget = Budget(
        seconds=options.budget_seconds, clock=time.monotonic, start=time.monotonic(), least_seconds=_LEAST_SECONDS
    )
    environment = _environment()
    try:
        results = Results(options.json, command="simulated_vs_cuda", environment=environment, is_rehearsal=False)
        if options.retry_failed:
            results.forget_failures()
        print(
            environment["device"], *(f"{name} {version}" for name, version in environment["versions"].items()), sep=", "
        )
        return compare(list(cases(with_gpu=True)), results, _read_both, budget=budget, again=_again(options))
    except ResultsError as error:
        print(f"simulated_vs_cuda: {error}", file=sys.stderr)
        return _CANNOT_RUN


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.simulated_vs_cuda",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    file_help = "file of the readings; existing readings are kept (default: agreement.json)"
    parser.add_argument("--json", type=Path, default=Path("agreement.json"), metavar="FILE", help=file_help)
    parser.add_argument(
        "--budget-seconds", type=positive_seconds, default=math.inf, metavar="S", help="default: unlimited"
    )
    parser.add_argument("--retry-failed", action="store_true", help="repeat the cases that failed")
    return parser.parse_args(arguments)


def _again(options: argparse.Namespace) -> str:
    budget = f" --budget-seconds {options.budget_seconds:g}" if math.isfinite(options.budget_seconds) else ""
    return f"python -m benchmarks.simulated_vs_cuda --json {options.json}{budget}"


def _without_gpu() -> int:
    for case in cases(with_gpu=False):
        reading = read_simulated(case)
        print(
            f"{case.name}: {sum(reading.syncs.values())} syncs, {reading.flops} FLOPs, {reading.operations} operations"
        )
    print("nothing was compared: no CUDA device")
    return 0


def compare(
    everything: Sequence[Case], results: Results, read: Callable[[Case], Figures], *, budget: Budget, again: str
) -> int:
    """Read the remaining cases on both devices, print the report, and return the exit code.

    Args:
        everything: every case.
        results: the readings so far.
        read: reads one case on both devices.
        budget: no case is started if less than its `least_seconds` are left.
        again: the command line that continues the run.
    """
    by_name = {case.name: case for case in everything}
    left = measure_all(list(by_name), results, lambda name, _: read(by_name[name]), budget=budget, progress=_progress)
    failures = {name: figures["failed"] for name, figures in results.cases.items() if "failed" in figures}
    for line in report([_agreement(*one) for one in results.cases.items() if one[0] not in failures], failures):
        print(line)
    if left:
        print(f"left: {', '.join(left)}\ncontinue with: {again}")
        return _CASES_LEFT
    return _FAILED if failures else 0


def _progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _read_both(case: Case) -> Figures:
    try:
        return {"simulated": asdict(read_simulated(case)), "real": asdict(_read_cuda(case))}
    except Exception as error:  # noqa: BLE001 - a failed case is reported, and the others are compared
        return {"failed": f"{type(error).__name__}: {error}".splitlines()[0]}


def _agreement(name: str, case: Figures) -> Agreement:
    return Agreement(case=name, simulated=Reading(**case["simulated"]), real=Reading(**case["real"]))


def _environment() -> dict[str, Any]:
    return {
        "device": gpu_name(),
        "versions": {"torch": str(torch.__version__), "cuda": str(torch.version.cuda)},
    }


def read_simulated(case: Case) -> Reading:
    """Run a case on the simulated GPU."""
    with SimulatedGPU(_simulated_gpu(), real_up_to=math.inf) as gpu:
        call = case.prepare(gpu.device)
        before = gpu.live_memory_bytes
        gpu.enter_phase(_WATCHED)
        call()
        gpu.enter_phase(None)
    syncs = [sync for sync in gpu.syncs if sync.phase == _WATCHED]
    counts = gpu.phases[_WATCHED]
    return Reading(
        syncs=Counter(str(sync.where) for sync in syncs if sync.is_reported),
        num_syncs=len(syncs),
        flops=counts.flops,
        operations=counts.operations,
        peak_bytes=max(0, counts.peak_memory_bytes - before),
    )


def _simulated_gpu() -> str:
    """Return a GPU model with the real GPU's compute capability, which determines the attention kernels."""
    default = "nvidia-h200"
    if not torch.cuda.is_available():
        return default
    capability = torch.cuda.get_device_capability()
    return next((name for name in known_gpu_models() if gpu_model(name).capability == capability), default)


def read_real(case: Case) -> Reading:
    """Run a case on the GPU, once for each measurement, because the measurements disturb each other."""
    _fresh(case)()  # the first call loads libraries and allocates workspaces
    peak_bytes = _peak_bytes(_fresh(case))
    syncs = _syncs(_fresh(case))
    events = _events(_fresh(case))
    return Reading(
        syncs=syncs,
        num_syncs=sum(events[name] for name in _SYNCS),
        flops=_flops(_fresh(case)),
        operations=sum(events[name] for name in _LAUNCHES),
        peak_bytes=peak_bytes,
    )


def _read_cuda(case: Case) -> Reading:
    return read_null(case) if is_active() else read_real(case)


def read_null(case: Case) -> Reading:
    """Run a case on the null GPU, which has counters in place of the profiler's events."""
    from pytest_diffopt.null_gpu.values.computing import Values, computing  # noqa: PLC0415 - needs the CUDA build

    with computing(Values.ALL):
        _fresh(case)()
        peak_bytes = _peak_bytes(_fresh(case))
        syncs = _syncs(_fresh(case))
        call = _fresh(case)
        with counting() as phase:
            call()
        return Reading(
            syncs=syncs,
            num_syncs=phase.counts.total(TallyKind.SYNC),
            flops=_flops(_fresh(case)),
            operations=phase.counts.total(TallyKind.KERNEL) + phase.counts.total(TallyKind.LIBRARY_CALL),
            peak_bytes=peak_bytes,
        )


def _fresh(case: Case) -> Callable[[], object]:
    """Prepare a case from scratch, because schedulers have state."""
    gc.collect()
    call = case.prepare(torch.device("cuda"))
    torch.cuda.synchronize()
    return call


def _peak_bytes(call: Callable[[], object]) -> int:
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    call()
    return torch.cuda.max_memory_allocated() - before


def _syncs(call: Callable[[], object]) -> Counter[str]:
    subject = Subject(pipeline="a case", recipe="", device=gpu_device())
    with watch_syncs(call, subject) as watch:
        call()
    return Counter(str(sync.where) for sync in watch.record.syncs)


def _flops(call: Callable[[], object]) -> int:
    with FlopCounterMode(display=False) as counter:
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
