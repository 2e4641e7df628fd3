"""Measure calls on the null GPU in fresh processes: are their figures equal, and what do they cost?

    python -m benchmarks.null_gpu_calls repeats --runs 10
    python -m benchmarks.null_gpu_calls cost --recipe "bf16 + sdpa + compile(regional=True)"

`repeats` counts the kernels, library calls, copies, allocations and allocator peaks of a tiny pipeline's call in each
process; every figure must be equal. `cost` makes one full-size call, with all steps and the VAE's decoder, first with
an empty cache of Inductor and then with what the first call left there. Both need a CUDA build of torch and no GPU.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pytest_diffopt.environment import gpu_name
from pytest_diffopt.null_gpu.counters import TallyKind, counting
from pytest_diffopt.null_gpu.launching import environment
from pytest_diffopt.null_gpu.values.computing import Values, computing
from pytest_diffopt.pipelines.loading import build_pipeline
from pytest_diffopt.pipelines.registry import find_pipeline
from pytest_diffopt.pipelines.scale import Scale
from pytest_diffopt.probes.calls import repeatable_call
from pytest_diffopt.probes.kernels import count_kernels
from pytest_diffopt.recipes.grammar import parse_recipe
from pytest_diffopt.records import Device, Subject

_ROOT = Path(__file__).parent.parent
_RECIPES = {"repeats": ["bf16 + sdpa", "bf16 + sdpa + compile(regional=True)"], "cost": ["bf16 + sdpa"]}
_KIB_PER_GIB = 2**20


@dataclass(frozen=True, kw_only=True, slots=True)
class Process:
    """A process on the null GPU.

    Attributes:
        figures: what it counted.
        seconds: wall-clock time from start to end.
        cpu_seconds: CPU time, that of Inductor's worker processes included; more reliable on a busy machine.
        peak_rss_gib: peak resident memory.
    """

    figures: Mapping[str, Any]
    seconds: float
    cpu_seconds: float
    peak_rss_gib: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print the figures; the exit code is 1 if figures differ that must be equal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=[*_RECIPES, "one"], metavar="COMMAND", help="repeats or cost")
    parser.add_argument("--pipeline", default="sdxl", metavar="NAME")
    parser.add_argument("--recipe", action="append", metavar="TEXT", help="may be given several times")
    parser.add_argument("--runs", type=int, default=10, help="processes of `repeats` for each recipe (default: 10)")
    parser.add_argument("--scale", type=Scale, default=Scale.TINY, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.command == "one":
        print(json.dumps(_counted(options.pipeline, options.scale, *options.recipe)))
        return 0
    recipes = options.recipe or _RECIPES[options.command]
    if options.command == "cost":
        for recipe in recipes:
            _print_costs(options.pipeline, recipe)
        return 0
    different = [_differ(options.pipeline, recipe, options.runs) for recipe in recipes]
    return int(any(different))


# ---- repeats


def _differ(pipeline: str, recipe: str, runs: int) -> bool:
    """Print the figures of processes that must be equal; return whether they are not."""
    with tempfile.TemporaryDirectory(prefix="null-gpu-calls-") as cache:
        seen = [_process(pipeline, recipe, Scale.TINY, cache=cache).figures for _ in range(runs)]
    differences = list(_differences(seen))
    print(f"{pipeline} (tiny), {recipe}, {runs} processes: {_summary(seen[0])}")
    for line in differences or ["  every figure is equal"]:
        print(line)
    return bool(differences)


def _differences(seen: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield a line for each figure that is not the same in every process."""
    flat = [dict(_flat(one)) for one in seen]
    for name in sorted({name for one in flat for name in one}):
        found = [one.get(name) for one in flat]
        if len(set(found)) > 1:
            yield f"  {name}: {', '.join(map(str, found))}"


def _flat(figures: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each number or text of nested figures with its path."""
    items = figures.items() if isinstance(figures, Mapping) else enumerate(figures)
    for key, value in items:
        path = f"{name}/{key}".removeprefix("/")
        if isinstance(value, Mapping | list | tuple):
            yield from _flat(value, path)
        else:
            yield path, value


def _summary(figures: Mapping[str, Any]) -> str:
    launches = sum(sum(phase["kernels"].values()) for phase in figures["phases"])
    calls = sum(sum(phase["library_calls"].values()) for phase in figures["phases"])
    peak = max(phase["peak_allocated_bytes"] for phase in figures["phases"])
    return f"{launches:,} kernels and {calls:,} library calls in its phases, peak {peak:,} bytes"


# ---- cost


def _print_costs(pipeline: str, recipe: str) -> None:
    print(f"{pipeline} (full), {recipe}: one call with all steps and the VAE")
    with tempfile.TemporaryDirectory(prefix="null-gpu-calls-") as cache:
        for name in ("cold", "warm"):
            process = _process(pipeline, recipe, Scale.FULL, cache=cache)
            print(
                f"  {name}  {process.seconds:7.1f} s  {process.cpu_seconds:7.1f} s of CPU time  "
                f"{process.peak_rss_gib:5.2f} GiB resident  {process.figures['launches']:,} launches",
                flush=True,
            )


# ---- processes


def _process(pipeline: str, recipe: str, scale: Scale, *, cache: str) -> Process:
    """Run one call in a process of its own, with Inductor's and Triton's caches in a folder."""
    command = [sys.executable, "-m", "benchmarks.null_gpu_calls", "one", "--pipeline", pipeline, "--recipe", recipe]
    variables = environment() | {"TORCHINDUCTOR_CACHE_DIR": cache, "TRITON_CACHE_DIR": f"{cache}/triton"}
    with tempfile.TemporaryFile("w+") as answer:
        start = time.perf_counter()
        process = subprocess.Popen([*command, "--scale", scale], env=variables, cwd=_ROOT, stdout=answer)
        _, status, usage = os.wait4(process.pid, 0)  # reports the resources of this child and of those it waited for
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command)
        answer.seek(0)
        figures = json.loads(answer.read().splitlines()[-1])
    return Process(
        figures=figures,
        seconds=seconds,
        cpu_seconds=usage.ru_utime + usage.ru_stime,
        peak_rss_gib=usage.ru_maxrss / _KIB_PER_GIB,
    )


def _counted(name: str, scale: Scale, recipe: str) -> Mapping[str, Any]:
    """Return the figures of a call in this process, which runs on the null GPU."""
    tiny = scale is Scale.TINY
    with computing(Values.ALL if tiny else Values.SMALL):
        one = build_pipeline(find_pipeline(name), scale, device="cuda")
        applied = parse_recipe(recipe)
        applied.apply(one.pipeline)
        call = repeatable_call(one.pipeline, (), find_pipeline(name).inputs(scale))
        if tiny:
            subject = Subject(pipeline=name, scale=scale, recipe=str(applied), device=Device.NULL_GPU)
            return asdict(count_kernels(one.pipeline, call, subject, seen_by=gpu_name()))
        with counting() as counted:
            call()
    kinds = (TallyKind.KERNEL, TallyKind.LIBRARY_CALL, TallyKind.GRAPH_KERNEL, TallyKind.GRAPH_LIBRARY_CALL)
    return {"launches": sum(map(counted.counts.total, kinds))}


if __name__ == "__main__":
    sys.exit(main())
