"""Example results files of the GPU commands, with placeholder figures."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.on_gpu.results import Results
from benchmarks.results_page.counted import read_counted
from pytest_diffopt.records import PairedTiming

H200 = {"device": "NVIDIA H200", "versions": {"torch": "2.13.0+cu130", "cuda": "13.0"}}
CPU = {"device": "a CPU", "versions": {"torch": "2.13.0+cpu"}}
RECIPES = {name: level.recipe for name, level in read_counted().levels.items()}


def timed(seconds: float, **more: object) -> dict[str, Any]:
    """Return the figures of a case whose calls take `seconds` and have ten steps."""
    return {
        "recipe": "bf16",
        "weights": "random: HF_HUB_OFFLINE is set",
        "call_seconds": [seconds] * 3,
        "warmup_seconds": [seconds],
        "throttled_seconds": [],
        "is_warm": True,
        "compile_seconds": 0.0,
        "compile_cache": [],
        "compiled_frames": 0,
        "graph_breaks": 0,
        "loop_seconds": [seconds],
        "loop_steps": 10,
        "peak_allocated_bytes": 2**33,
    } | more


def compiled(seconds: float, **more: object) -> dict[str, Any]:
    """Return the figures of a compiled case."""
    return timed(seconds, compile_seconds=60.0, compile_cache=["miss"], compiled_frames=2, **more)


OUT_OF_MEMORY = {"out_of_memory": "after warm-up", "reason": "CUDA out of memory"}
FAILED = {"failed": "ValueError: no"}
UNAVAILABLE = {"unavailable": "fp8_dynamic needs a GPU of compute capability 8.9 or newer"}

LADDER = {
    "diffusion-fast-1-fp32": timed(4.0, recipe=RECIPES["diffusion-fast-1-fp32"]),
    "diffusion-fast-2-bf16": timed(2.0, recipe=RECIPES["diffusion-fast-2-bf16"]),
    "diffusion-fast-4-compile": OUT_OF_MEMORY,
    "diffusion-fast-5-fuse_qkv": FAILED,
    "diffusion-fast-6-int8": compiled(1.0, recipe=RECIPES["diffusion-fast-6-int8"]),
    "modern-1-bf16": timed(1.6, recipe="bf16"),
    "modern-2-compile": compiled(0.8, recipe=RECIPES["modern-2-compile"]),
    "modern-4-fp8": UNAVAILABLE,
}
TABLE = {
    "sd15 batch 1 not compiled": timed(0.25),
    "sd15 batch 1 compiled": compiled(0.1),
    "sd15 batch 4 not compiled": timed(0.5),
    "sd15 batch 4 compiled": OUT_OF_MEMORY,
    "sd15 batch 16 not compiled": timed(1.0, call_seconds=[]),
    "deepfloyd-if-1 batch 1 not compiled": timed(0.2),
    "deepfloyd-if-1 batch 1 compiled": compiled(0.02),
}
OVERHEAD = {
    "syncs": {
        "recipe": "bf16",
        "weights": "random",
        "watched_seconds": [1.0, 1.001, 0.999] * 20,
        "unwatched_seconds": [1.001, 0.999, 1.0] * 20,
    }
}
SUITES = {
    "test_flux": {
        "report": "test_flux/report.json",
        "exit_code": 1,
        "verdicts": {"passed": 12, "regressed": 1},
        "skipped": 2,
        "failures": ["suites/test_flux.py::test_no_syncs: 3 syncs in 4 steps"],
        "broken": [],
    }
}
GATES = {
    "same code": {
        "recipe": "bf16",
        "weights": "random",
        "injected": 0.0,
        "expected": "exit code 0, passed",
        "actual": "exit code 1, regressed",
        "explanation": ["diffopt: the call became 2.0 % slower than at HEAD~1"],
        "seconds": 61.0,
        "report": "same-code/report.json",
        "wrong": "expected exit code 0, passed, got exit code 1, regressed",
    }
}
ALARMS = {
    "same code, pair 1": {
        "recipe": "bf16",
        "weights": "random",
        "pair": {
            "slowdown": 0.0,
            "timing": str(PairedTiming.INTERLEAVED),
            "repeats": 1,
            "seconds": 10.0,
            "blocks": [{"base_ns": [100_000_000] * 2, "head_ns": [101_000_000] * 2}] * 8,
            "seconds_in_turn": 0.0,
            "blocks_in_turn": [],
        },
    }
}


def written(
    path: Path,
    cases: Mapping[str, Mapping[str, Any]],
    *,
    command: str = "ladder",
    environment: Mapping[str, Any] = H200,
    is_rehearsal: bool = False,
) -> Path:
    """Write a results file case by case, as a command does."""
    results = Results(path, command=command, environment=environment, is_rehearsal=is_rehearsal)
    for name, figures in cases.items():
        results.keep(name, figures)
    return path
