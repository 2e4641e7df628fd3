"""A profile on the null GPU as text and JSON."""

import json
from dataclasses import replace

from pytest_diffopt.profile.null_gpu import HostTimes, NullGpuProfile
from pytest_diffopt.profile.null_table import null_json, null_lines, timeline_lines
from pytest_diffopt.profile.target import Target
from pytest_diffopt.records import (
    Device,
    KernelRecord,
    PhaseKernels,
    PhaseTimeline,
    Subject,
    SyncCost,
    TimelineRecord,
)

TARGET = Target(pipeline=None, inputs={"num_inference_steps": 4}, name="sdxl", origin="tiny", recipe="bf16")


def phase(name: str) -> PhaseKernels:
    """Return a phase that a CUDA graph launches in part."""
    return PhaseKernels(
        phase=name,
        kernels={"add": 2, "gelu": 5},
        library_calls={"gemm": 3},
        graph_launches=1,
        launches_in_graphs=8,
        copies={"host to device": 2},
        copied_bytes={"host to device": 1500},
        peak_allocated_bytes=2_000_000,
    )


SUBJECT = Subject(pipeline="sdxl", device=Device.NULL_GPU)
PROFILE = NullGpuProfile(
    kernels=KernelRecord(
        subject=SUBJECT,
        seen_by="null NVIDIA L4",
        num_steps=4,
        phases=(phase("step 0"), phase("steps 1-3")),
    ),
    host=HostTimes(call_ns=41_000_000, step_ns=9_500_000),
    timeline=TimelineRecord(
        subject=SUBJECT,
        gpu_model="nvidia-l4",
        num_steps=4,
        phases=(
            PhaseTimeline(phase="step 0", host_ns=41_000_000, waited_ns=0, busy_ns=50_000_000, total_ns=60_000_000),
            PhaseTimeline(
                phase="later steps", host_ns=41_000_000, waited_ns=2_000_000, busy_ns=22_000_000, total_ns=43_000_000
            ),
        ),
        syncs=(
            SyncCost(where="scheduling_ddim.py:449", api="cudaStreamSynchronize", count=4, cost_ns=7_600_000),
            SyncCost(where="pipeline.py:12", api="cudaStreamSynchronize", count=1, cost_ns=0),
        ),
        launches=1064,
        without_model=3,
    ),
)


def test_lines() -> None:
    """A row for each phase, and the kernels of the whole call, the most launched first."""
    assert list(null_lines(PROFILE, TARGET, top=1)) == [
        "sdxl (tiny), recipe bf16, num_inference_steps=4",
        "on null NVIDIA L4: host time 41 ms a call, 9.5 ms a step",
        "",
        "                 launches  kernels  library calls  in graphs  CUDA graphs  copies  copied  peak memory",
        "step 0                 10        7              3          8            1       2  1.5 kB         2 MB",
        "steps 1-3, each        10        7              3          8            1       2  1.5 kB         2 MB",
        "",
        "peak memory: of tensors, above what was allocated before the call; host time: what this machine's CPU takes,",
        "without values; there is no GPU time",
        "",
        "estimated timeline on nvidia-l4:",
        "                    host  blocked  GPU busy  GPU idle  total",
        "step 0             41 ms      0 s     50 ms     10 ms  60 ms",
        "later steps, each  41 ms     2 ms     22 ms     21 ms  43 ms",
        "",
        "an estimate, no measurement of a GPU: host time of this machine without waiting; of the GPU the roofline of",
        "each operation, a lower bound, in the order of its streams",
        "3 of 1,064 launches have no model and count as 0",
        "later steps: host 41.0 ms, device at least 22.0 ms: launch-bound",
        "",
        "what the syncs of each line cost, by the estimate:",
        "    7.6 ms  scheduling_ddim.py:449  4 x cudaStreamSynchronize",
        "  ... and 1 more (--top 2 shows all)",
        "",
        "most launched kernels, in the whole call:",
        "      20 x  gelu",
        "  ... and 1 more (--top 2 shows all)",
        "",
        "library calls, in the whole call:",
        "      12 x  gemm",
    ]


def test_what_limits_the_figures_is_shown() -> None:
    """Calls that differ, and entry points that are not modelled."""
    record = replace(PROFILE.kernels, is_settled=False, unmodelled=("cuFoo",))
    lines = list(null_lines(replace(PROFILE, kernels=record), TARGET, top=1))

    assert "each call launches something else; these are the figures of the last one" in lines
    assert lines[-2:] == ["calls that the null GPU does not model:", "  cuFoo"]


def test_unknown_gpu() -> None:
    """A GPU without known peaks has no timeline."""
    assert list(timeline_lines(replace(PROFILE.timeline, gpu_model=""), top=1)) == []


def test_json() -> None:
    """Raw numbers with units in their names."""
    content = json.loads(null_json(PROFILE, TARGET))

    assert (content["gpu"], content["host"]) == ("null NVIDIA L4", {"call_ns": 41_000_000, "step_ns": 9_500_000})
    assert content["estimated_timeline"]["phases"][1]["busy_ns"] == 22_000_000
    assert content["estimated_timeline"]["syncs"][0]["cost_ns"] == 7_600_000
    assert [(one["phase"], one["launches"]) for one in content["phases"]] == [("step 0", 10), ("steps 1-3", 10)]
