"""Run groups of diffusers' tests on the CPU and on the simulated GPU, and print a line of JSON for each pipeline.

`python -m benchmarks.generality` starts this as a separate process, because a pipeline may crash it.
"""

import argparse
import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from benchmarks.diffusers_tests.cases import Case, move_to_simulated, seed
from benchmarks.diffusers_tests.results import Outcome
from benchmarks.diffusers_tests.worker_process import limited, prepare, print_line, reason_of, results_of_group
from benchmarks.generality.rows import TOLERANCE, Row
from pytest_diffopt.simulated_gpu import SimulatedGPU

_Run = tuple[float, list[torch.Tensor]]


def main() -> None:
    """Run the groups of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--attention", choices=("any", "math"), default="any")
    parser.add_argument("--skip", nargs="*", default=[], metavar="GROUP/CASE")
    parser.add_argument("--groups", nargs="+", required=True)
    options = parser.parse_args()
    lines = prepare(options.checkout)
    _warm_up()
    measure = partial(_measured, options=options)
    for group in options.groups:
        for one in results_of_group(options.checkout, group, options.skip, Row, measure):
            print_line(lines, one)


def _warm_up() -> None:
    """Trigger the imports that torch defers until the first use of a shape rule."""
    with SimulatedGPU(real_up_to=0) as gpu:
        torch.nn.functional.linear(*(torch.ones(2, 2, device=gpu.device) for _ in range(2)))


def _measured(row: Row, case: Case, options: argparse.Namespace) -> Row:
    in_mode: Callable[[], AbstractContextManager[Any]] = nullcontext
    if options.attention == "math":
        in_mode = _math_attention
    try:
        with limited(), in_mode():
            first = _on_cpu(case)
    except Exception as error:  # noqa: BLE001 - any error that keeps diffusers' own test from running
        return _without(row, Outcome.NOT_BUILT, error)
    try:
        with limited(), in_mode():
            return _compared(row, case, first, options.rounds)
    except Exception as error:  # noqa: BLE001 - any error that the simulated GPU causes
        return _without(row, Outcome.FAILED, error)


def _without(row: Row, outcome: Outcome, error: Exception) -> Row:
    return msgspec.structs.replace(row, outcome=outcome, reason=reason_of(error))


def _compared(row: Row, case: Case, first: _Run, rounds: int) -> Row:
    pipeline = case.build()
    addresses = _addresses(pipeline)
    cpu, simulated = [first], []
    for number in range(rounds):
        gpu = SimulatedGPU(real_up_to=math.inf)
        simulated.append(_on_simulated_gpu(pipeline if not number else case.build(), case, gpu))
        if number + 1 < rounds:
            cpu.append(_on_cpu(case))
    difference = _difference(first[1], simulated[0][1])
    is_off = difference is None or not difference <= TOLERANCE
    return msgspec.structs.replace(
        row,
        outcome=Outcome.RAN,
        cpu_s=tuple(seconds for seconds, _ in cpu),
        simulated_s=tuple(seconds for seconds, _ in simulated),
        operations=gpu.operations,
        difference=difference,
        difference_laid_out_alike=_difference(_laid_out_alike(case), simulated[0][1]) if is_off else None,
        unmodelled=gpu.unmodelled,
        is_restored=_addresses(pipeline) == addresses,
    )


def _addresses(pipeline: Any) -> list[int]:
    modules = [one for one in pipeline.components.values() if isinstance(one, torch.nn.Module)]
    return [one.data_ptr() for module in modules for one in module.parameters()]


def _on_cpu(case: Case) -> _Run:
    pipeline, inputs = case.build(), case.inputs()
    seed()
    start = time.process_time()
    with torch.no_grad():
        out = pipeline(**inputs)[0]
    return time.process_time() - start, _tensors(out)


def _on_simulated_gpu(pipeline: Any, case: Case, gpu: SimulatedGPU) -> _Run:
    inputs = case.inputs()
    seed()
    start = time.process_time()
    with gpu, torch.no_grad():
        move_to_simulated(pipeline, gpu)
        out = _tensors(pipeline(**inputs)[0])
    return time.process_time() - start, out


def _laid_out_alike(case: Case) -> list[torch.Tensor]:
    """Run on the CPU with the contiguous layout of CUDA's `group_norm`, which rounds differently from channels_last."""
    functional = torch.nn.functional
    original = functional.group_norm
    functional.group_norm = lambda x, *args, **kwargs: original(x.contiguous(), *args, **kwargs)
    try:
        return _on_cpu(case)[1]
    finally:
        functional.group_norm = original


def _tensors(out: Any) -> list[torch.Tensor]:
    if isinstance(out, torch.Tensor):
        return [out.detach().float().cpu()]
    if isinstance(out, np.ndarray):
        return [torch.from_numpy(np.ascontiguousarray(out)).float()]
    if isinstance(out, list | tuple):
        return [tensor for one in out for tensor in _tensors(one)]
    return [tensor for one in out.values() for tensor in _tensors(one)] if isinstance(out, dict) else []


def _difference(expected: list[torch.Tensor], actual: list[torch.Tensor]) -> float | None:
    """Return the maximum difference; None if the outputs have different shapes, no tensors, or NaN."""
    if not expected or [one.shape for one in expected] != [one.shape for one in actual]:
        return None
    greatest = max(float((a - b).abs().max()) if a.numel() else 0.0 for a, b in zip(expected, actual, strict=True))
    return None if math.isnan(greatest) else greatest


@contextmanager
def _math_attention() -> Iterator[None]:
    with sdpa_kernel(SDPBackend.MATH):
        yield


if __name__ == "__main__":
    main()
