"""Run groups of diffusers' tests on one device, and print the syncs of each pipeline's call as a line of JSON.

`python -m benchmarks.generality.syncs` starts this for each device: a process with CUDA has no simulated GPU.
"""

import argparse
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec
import torch

from benchmarks.agreement_sides import Side, all_syncs, reported_syncs, simulated_syncs
from benchmarks.diffusers_tests.cases import Case, move_to_simulated, seed
from benchmarks.diffusers_tests.results import Outcome
from benchmarks.diffusers_tests.worker_process import limited, prepare, print_line, reason_of, results_of_group
from benchmarks.generality.sync_rows import SyncRow
from pytest_diffopt.simulated_gpu import SimulatedGPU

_CALL = "the call"
_Syncs = tuple[Mapping[str, int], Mapping[str, int]]


def main() -> None:
    """Run the groups of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--side", choices=tuple(_SYNCS), type=Side, required=True)
    parser.add_argument("--skip", nargs="*", default=[], metavar="GROUP/CASE")
    parser.add_argument("--groups", nargs="+", required=True)
    options = parser.parse_args()
    lines = prepare(options.checkout)
    with _values(options.side):
        for group in options.groups:
            for one in results_of_group(options.checkout, group, options.skip, SyncRow, _measuring(options.side)):
                print_line(lines, one)


@contextmanager
def _values(side: Side) -> Iterator[None]:
    """Compute all values on the null GPU, as a GPU does itself."""
    if side is not Side.NULL:
        yield
        return
    from pytest_diffopt.null_gpu.values.computing import Values, computing  # noqa: PLC0415 - needs the CUDA build

    with computing(Values.ALL):
        yield


def _measuring(side: Side) -> Callable[[SyncRow, Case], SyncRow]:
    def measure(row: SyncRow, case: Case) -> SyncRow:
        try:
            with limited():
                reported, every = _SYNCS[side](case)
        except Exception as error:  # noqa: BLE001 - diffusers' own test, or the device: the rows of both devices show which
            return msgspec.structs.replace(row, outcome=Outcome.FAILED, reason=reason_of(error))
        return msgspec.structs.replace(row, outcome=Outcome.RAN, reported=reported, all_syncs=every)

    return measure


def _on_simulated_gpu(case: Case) -> _Syncs:
    pipeline, inputs = case.build(), case.inputs()
    seed()
    gpu = SimulatedGPU(real_up_to=math.inf)
    with gpu, torch.no_grad():
        move_to_simulated(pipeline, gpu)
        gpu.enter_phase(_CALL)
        pipeline(**inputs)
        gpu.enter_phase(None)
    return simulated_syncs(gpu, _CALL)


def _on_cuda(case: Case) -> _Syncs:
    pipeline, inputs = case.build().to("cuda"), case.inputs()
    seed()
    with torch.no_grad(), all_syncs() as every, reported_syncs() as reported:
        pipeline(**inputs)
    return dict(reported), dict(every)


_SYNCS: Mapping[Side, Callable[[Case], _Syncs]] = {Side.SIMULATED: _on_simulated_gpu, Side.NULL: _on_cuda}


if __name__ == "__main__":
    main()
