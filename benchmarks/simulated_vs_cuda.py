"""Is the simulated GPU right? Runs the same cases on it and on a real NVIDIA card, and prints where the two agree.

    python -m benchmarks.simulated_vs_cuda --json agreement.json

On the card the syncs are counted by torch's sync debug mode, line by line; waits that it does not see, and launched
kernels, by the profiler; FLOPs by `FlopCounterMode`; memory by the caching allocator. The JSON file grows case by case,
so a run that was cut off goes on where it stopped. Without a card a few cases run on the simulated GPU alone, and
nothing is compared.

This has never run on a card so far: only its joining and its table are tested.
"""

import argparse
import gc
import json
import math
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile, record_function
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.agreement import Agreement, Reading, report
from benchmarks.agreement_cases import Case, cases
from pytest_diffopt.probes.syncs import watch_syncs
from pytest_diffopt.records import Device, Subject
from pytest_diffopt.simulated_gpu import SimulatedGPU

_LAUNCHES = frozenset({"cudaLaunchKernel", "cudaLaunchKernelExC", "cuLaunchKernel", "cuLaunchKernelEx"})
# A blocking copy from or to pageable memory ends in the first; the others are asked for by name.
_WAITS = frozenset({"cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize", "cudaMemcpy"})
_WATCHED = "the call"


def main() -> int:
    """Compare every case, or say that nothing was compared."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the readings here, and go on from them")
    file = parser.parse_args().json
    if not torch.cuda.is_available():
        return _without_card()
    _compare(file)
    return 0


def _without_card() -> int:
    for case in cases(with_card=False):
        reading = read_simulated(case)
        print(
            f"{case.name}: {sum(reading.syncs.values())} syncs, {reading.flops} FLOPs, {reading.operations} operations"
        )
    print("nothing was compared: torch finds no CUDA device")
    return 0


def _compare(file: Path | None) -> None:
    kept = _kept(file)
    everything = list(cases(with_card=True))
    for number, case in enumerate(everything, start=1):
        if case.name not in kept:
            kept[case.name] = _read_both(case)
            _keep(file, kept)
        print(f"\r{number} of {len(everything)} cases", end="", file=sys.stderr)
    print(file=sys.stderr)
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, CUDA {torch.version.cuda}")
    for line in report(
        [_agreement(name, case) for name, case in kept.items() if "failed" not in case],
        {name: case["failed"] for name, case in kept.items() if "failed" in case},
    ):
        print(line)


def _read_both(case: Case) -> dict[str, Any]:
    try:
        return {"simulated": asdict(read_simulated(case)), "real": asdict(read_real(case))}
    except Exception as error:  # noqa: BLE001 - one case that fails is told, and the others are compared
        return {"failed": f"{type(error).__name__}: {error}".splitlines()[0]}


def _agreement(name: str, case: dict[str, Any]) -> Agreement:
    return Agreement(case=name, simulated=Reading(**case["simulated"]), real=Reading(**case["real"]))


def _environment() -> dict[str, Any]:
    return {"card": torch.cuda.get_device_name(), "torch": torch.__version__, "cuda": torch.version.cuda}


def _kept(file: Path | None) -> dict[str, Any]:
    """Return the cases of an earlier run in the same environment."""
    if file is None or not file.exists():
        return {}
    document: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return dict(document["cases"]) if document["environment"] == _environment() else {}


def _keep(file: Path | None, kept: dict[str, Any]) -> None:
    """Write through a second file, so that a run that is cut off leaves a whole one."""
    if file is None:
        return
    text = json.dumps({"environment": _environment(), "cases": kept}, indent=2) + "\n"
    half = file.with_suffix(".half")
    half.write_text(text, encoding="utf-8")
    half.replace(file)


def read_simulated(case: Case) -> Reading:
    """Run a case on the simulated GPU."""
    with SimulatedGPU(_simulated_card(), real_up_to=math.inf) as gpu:
        call = case.prepare(gpu.device)
        before = gpu.live_memory_bytes
        gpu.enter_phase(_WATCHED)
        call()
        gpu.enter_phase(None)
    syncs = [sync for sync in gpu.syncs if sync.phase == _WATCHED]
    counts = gpu.phases[_WATCHED]
    return Reading(
        syncs=Counter(str(sync.where) for sync in syncs if sync.is_reported),
        waits=len(syncs),
        flops=counts.flops,
        operations=counts.operations,
        peak_bytes=max(0, counts.peak_memory_bytes - before),
    )


def _simulated_card() -> str:
    """Return the simulated card with the real one's capability: it decides which attention kernels run."""
    from pytest_diffopt.simulated_gpu.cards import card, known_cards  # noqa: PLC0415

    default = "nvidia-h200"
    if not torch.cuda.is_available():
        return default
    capability = torch.cuda.get_device_capability()
    return next((name for name in known_cards() if card(name).capability == capability), default)


def read_real(case: Case) -> Reading:
    """Run a case on the card, once for each way of looking: they disturb one another."""
    _fresh(case)()  # libraries are loaded and workspaces taken at the first call
    peak_bytes = _peak_bytes(_fresh(case))
    syncs = _syncs(_fresh(case))
    events = _events(_fresh(case))
    return Reading(
        syncs=syncs,
        waits=sum(events[name] for name in _WAITS),
        flops=_flops(_fresh(case)),
        operations=sum(events[name] for name in _LAUNCHES),
        peak_bytes=peak_bytes,
    )


def _fresh(case: Case) -> Callable[[], object]:
    """Prepare a case anew: a scheduler remembers what it did."""
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
    subject = Subject(pipeline="a case", recipe="", device=Device.CUDA)
    with watch_syncs(call, subject) as watch:
        call()
    return Counter(str(sync.where) for sync in watch.record.syncs)


def _flops(call: Callable[[], object]) -> int:
    with FlopCounterMode(display=False) as counter:
        call()
    return int(counter.get_total_flops())


def _events(call: Callable[[], object]) -> Counter[str]:
    """Count what was traced within the call; the profiler itself waits for the card when it ends."""
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as trace, record_function(_WATCHED):
        call()
    events = list(trace.events() or ())
    watched = next(event.time_range for event in events if event.name == _WATCHED)
    return Counter(event.name for event in events if watched.start <= event.time_range.start <= watched.end)


if __name__ == "__main__":
    sys.exit(main())
