"""A latency test on the null GPU is counted by another process, so that CUDA stays as it was here."""

import json

import pytest

from tests.integration.null_gpu.conftest import Run

NAMED = """
import pytest
import torch

@pytest.mark.gpu
@pytest.mark.diffopt(pipeline="sdxl", recipe="fp32")
def test_latency(optimized_pipeline, pipeline_inputs, latency_baseline):
    latency_baseline.check(optimized_pipeline, **pipeline_inputs)

def test_torch_is_as_before():
    weight = torch.ones(3, device="cuda", requires_grad=True)
    (2 * weight).sum().backward()
    assert torch.accelerator.current_accelerator().type == "cuda"
    assert weight.grad.tolist() == [2, 2, 2]
    assert torch.ones(2).pin_memory().is_pinned()
"""
# Each reading of the clock is 10 ms later, so that all calls take the same time on any machine.
CLOCK = """
import itertools
import time

readings = itertools.count(1)
time.perf_counter_ns = lambda: next(readings) * 10_000_000
"""
OWN = """
import small_pipeline

def test_own(latency_baseline):
    latency_baseline.check(small_pipeline.build().to("cuda"))
"""


def test_counts_and_host_time(run_on_null_gpu: Run, pytester: pytest.Pytester) -> None:
    """The counts are stored with the accepted host time; the user's other tests run as always."""
    pytester.makepyfile(conftest=CLOCK, test_it=NAMED)
    options = ("--diffopt-null-gpu", "--diffopt-max-seconds=0.5", "--diffopt-report=report", "-v")
    accepting = run_on_null_gpu(*options, "--diffopt-update=missing")
    record = json.loads((pytester.path / "report" / "report.json").read_text(encoding="utf-8"))["verdicts"][0]["record"]

    accepting.assert_outcomes(passed=2)
    accepting.stdout.fnmatch_lines(
        [
            "passed  latency  sdxl (tiny)  fp32  * ms of host time, * steps/s (+0.0 %); "
            "host * ms, device at least * us: launch-bound"
        ]
    )
    assert record["counts"]["subject"]["device"] == "null-gpu"
    assert record["counts"]["phases"][1]["operations"] > 100
    assert record["why_not_counted"] == ""
    assert record["gpu"] is None

    document = next(pytester.path.glob("baselines/null-nvidia-h200/test_it/*.json"))
    stored = json.loads(document.read_text(encoding="utf-8"))
    for session in stored["sessions"]:
        session["samples_ns"] = [1000] * len(session["samples_ns"])
    stored["counts"]["phases"][record["counts"]["phases"][1]["phase"]]["operations"] -= 1
    document.write_text(json.dumps(stored), encoding="utf-8")
    slower = run_on_null_gpu(*options, "-k", "latency")

    slower.assert_outcomes(failed=1)
    slower.stdout.fnmatch_lines(
        [
            "diffopt: the call became * slower: *",
            "*operations*",
            "seen in host time on null NVIDIA H200, pipeline sdxl (tiny, weights: pretrained), recipe fp32",
        ]
    )


def test_a_pipeline_that_needs_cuda_is_not_counted(run_on_null_gpu: Run, pytester: pytest.Pytester) -> None:
    """The record has the reason, and the verdict is the same."""
    pytester.makepyfile(test_it=OWN)
    result = run_on_null_gpu(
        "--diffopt-null-gpu", "--diffopt-max-seconds=0.2", "--diffopt-report=report", "--diffopt-update=missing"
    )
    record = json.loads((pytester.path / "report" / "report.json").read_text(encoding="utf-8"))["verdicts"][0]["record"]

    result.assert_outcomes(passed=1)
    assert record["counts"] is None
    assert record["why_not_counted"].startswith(
        "the test could not be run again without a GPU up to its call: RuntimeError: No CUDA GPUs are available"
    )
