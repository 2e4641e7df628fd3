"""Test the tables of the GPU commands with example figures."""

from pathlib import Path

import pytest

from benchmarks.on_gpu import __main__ as on_gpu
from benchmarks.on_gpu.command import Figures
from benchmarks.on_gpu.commands import COMMANDS
from benchmarks.on_gpu.results import REHEARSAL
from benchmarks.on_gpu.setting import Setting

GPU = {"device": "NVIDIA H200", "versions": {"torch": "2.11.0", "cuda": "13.0"}}
CPU = {"device": "a CPU", "versions": {"torch": "2.13.0+cpu"}}
MEASURED = Setting(is_rehearsal=False, reports=Path("reports"))
REHEARSED = Setting(is_rehearsal=True, reports=Path("reports"))


def timed(seconds: float, **more: object) -> Figures:
    """Return the figures of a case whose calls take `seconds`."""
    return {
        "weights": "random: HF_HUB_OFFLINE is set",
        "call_seconds": [seconds] * 3,
        "compile_seconds": 0.0,
        "compile_cache": [],
        "compiled_frames": 0,
        "loop_seconds": [seconds],
        "loop_steps": 10,
        "peak_allocated_bytes": 2**33,
    } | more


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("setting", [MEASURED, REHEARSED])
def test_every_case_has_unique_name_and_row(name: str, setting: Setting) -> None:
    """A table without measurements has a row with `-` for each case."""
    names = [case.name for case in COMMANDS[name].cases(setting)]

    assert len(set(names)) == len(names) > 0
    assert sum(line.split().count("-") for line in COMMANDS[name].table(setting, {})) >= len(names)


def test_levels_that_autotune_come_last() -> None:
    """They compile for many minutes, so cheap levels are measured first."""
    names = [case.name for case in COMMANDS["ladder"].cases(MEASURED)]

    assert [name.rpartition("-")[0] for name in names] == [
        *(f"diffusion-fast-{number}" for number in (1, 2, 3)),
        *(f"modern-{number}" for number in (1, 2, 3, 4)),
        *(f"diffusion-fast-{number}" for number in (4, 5, 6)),
    ]


def test_ladder_table() -> None:
    """The table has the speedup over the first level, out-of-memory, failures, and the fastest modern level."""
    seen = {
        "diffusion-fast-1-fp32": timed(6.0),
        "diffusion-fast-2-bf16": timed(3.0),
        "diffusion-fast-4-compile": timed(
            2.0, compiled_frames=2, compile_seconds=312.34, compile_cache=["hit", "miss"]
        ),
        "diffusion-fast-5-fuse_qkv": {"failed": "ValueError: no"},
        "modern-1-bf16": timed(2.5),
        "modern-2-compile": timed(1.5, compiled_frames=1, compile_seconds=20.0, compile_cache=["miss"]),
        "modern-3-int8": {"out_of_memory": "after warm-up", "reason": "out of memory"},
        "modern-4-fp8": {"out_of_memory": "while it was built", "reason": "out of memory"},
    }

    assert on_gpu.report(COMMANDS["ladder"], MEASURED, GPU, seen) == [
        "ladder: NVIDIA H200, torch 2.11.0, scale full",
        "weights: random: HF_HUB_OFFLINE is set",
        "level                                   call  speedup      compile time  peak memory",
        "diffusion-fast-1-fp32                 6.00 s   1.00 x                 -     8.00 GiB",
        "diffusion-fast-2-bf16                 3.00 s   2.00 x                 -     8.00 GiB",
        "diffusion-fast-3-sdpa                      -",
        "diffusion-fast-4-compile              2.00 s   3.00 x  312.3 s (cached)     8.00 GiB",
        "diffusion-fast-5-fuse_qkv             failed",
        "diffusion-fast-6-int8                      -",
        "modern-1-bf16                         2.50 s   2.40 x                 -     8.00 GiB",
        "modern-2-compile                      1.50 s   4.00 x            20.0 s     8.00 GiB",
        "modern-3-int8              OOM after warm-up",
        "modern-4-fp8                             OOM",
        "fastest level of modern: modern-2-compile",
        "diffusion-fast-5-fuse_qkv: failed: ValueError: no",
        "modern-3-int8: out_of_memory: after warm-up",
        "modern-4-fp8: out_of_memory: while it was built",
    ]


def test_throughput_table() -> None:
    """Ten steps in 2 s are 5 steps per second; the speedup is shown if both cells are measured."""
    seen = {
        "sd15 batch 1 not compiled": timed(2.0),
        "sd15 batch 1 compiled": timed(1.0, compiled_frames=1, compile_seconds=44.4, compile_cache=["hit"]),
        "sd15 batch 4 not compiled": {"out_of_memory": "during warm-up", "reason": "out of memory"},
        "sd15 batch 4 compiled": timed(4.0, call_seconds=[]),
    }

    lines = COMMANDS["table"].table(MEASURED, seen)

    assert lines[:3] == [
        "pipeline         batch  not compiled   compiled  speedup     compile time",
        "sd15                 1          5.00      10.00   2.00 x  44.4 s (cached)",
        "sd15                 4           OOM  throttled",
    ]
    assert lines[-1] == "denoise steps per second of the loop alone; one step processes the whole batch"


@pytest.mark.parametrize(("watched", "outcome"), [(1.001, "passed"), (1.02, "failed"), (1.005, "inconclusive")])
def test_overhead_table(watched: float, outcome: str) -> None:
    """A row passes or fails if the whole interval is on one side of the limit."""
    samples = [1.0, 1.001, 0.999] * 20
    seen = {"syncs": {"watched_seconds": [watched * one for one in reversed(samples)], "unwatched_seconds": samples}}

    row = next(line for line in COMMANDS["overhead"].table(MEASURED, seen) if line.startswith("syncs"))

    assert row.endswith(f"  {outcome}")
    assert f"{watched - 1:+.2%}" in row


def test_suites_table_lists_failures() -> None:
    """The table has the counts of verdicts, and a line for each failed or broken test."""
    seen = {
        "test_flux": {
            "verdicts": {"passed": 12, "missing": 1, "regressed": 1},
            "skipped": 2,
            "failures": ["suites/test_flux.py::test_no_syncs: 3 syncs in 4 steps"],
            "broken": ["suites/test_flux.py::test_counts"],
        }
    }

    lines = COMMANDS["suites"].table(MEASURED, seen)

    assert next(line for line in lines if line.startswith("test_flux")).split("  ")[-1].strip() == "2"
    assert lines[-2:] == [
        "failed: suites/test_flux.py::test_no_syncs: 3 syncs in 4 steps",
        "failed: suites/test_flux.py::test_counts",
    ]


def test_every_line_of_a_rehearsal_is_marked() -> None:
    """No copied line can be mistaken for a measurement."""
    lines = on_gpu.report(COMMANDS["ladder"], REHEARSED, CPU, {"modern-1-bf16": timed(1.0)})

    assert lines[0] == REHEARSAL == "rehearsal: tiny pipelines, nothing here is a measurement"
    assert all(line.startswith("rehearsal | ") for line in lines[1:])
