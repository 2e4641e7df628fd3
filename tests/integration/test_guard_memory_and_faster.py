"""Peak memory against a baseline, and one pipeline faster than another."""

import pytest

MEMORY = """
import pytest
import small_pipeline
import torch

class Pipeline(small_pipeline.SmallPipeline):
    def step(self, latents, timestep, num_inference_steps):
        held = torch.empty({kept_bytes}, dtype=torch.uint8, device=latents.device)
        return super().step(latents, timestep, num_inference_steps)

@pytest.fixture
def optimized_pipeline():
    return small_pipeline.build(pipeline=Pipeline)

def test_memory(optimized_pipeline, pipeline_inputs, memory_baseline):
    memory_baseline.check(optimized_pipeline, **pipeline_inputs)
"""
FASTER = """
import itertools
import pytest
from pytest_diffopt import assert_faster
from pytest_diffopt.probes import latency

def test_faster(monkeypatch):
    now = [0]
    def fast():
        now[0] += 10_000_000
    def slow():
        now[0] += {slow_ns}
    defaults = {{**latency.measure_ratio.__kwdefaults__, "clock": lambda: now[0]}}
    monkeypatch.setattr(latency.measure_ratio, "__kwdefaults__", defaults)
    assert_faster(fast, slow, by={by})
"""
MIB = 2**20


def run(project: pytest.Pytester, kept_bytes: int, *options: str) -> pytest.RunResult:
    """Run one memory test of a pipeline that holds this many more bytes in each step."""
    project.makepyfile(test_it=MEMORY.format(kept_bytes=kept_bytes))
    return project.runpytest_inprocess("--tb=short", *options)


def test_memory_without_a_baseline_fails(own_pipeline: pytest.Pytester) -> None:
    """A peak without a baseline guards nothing."""
    result = run(own_pipeline, MIB)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: no memory baseline has been accepted: 1.0* MiB*",
            "to accept it: pytest test_it.py::test_memory --diffopt-update missing",
        ]
    )


def test_more_memory_fails_and_the_same_passes(own_pipeline: pytest.Pytester) -> None:
    """Four MiB more at the peak fail; the accepted peak passes again."""
    run(own_pipeline, 2 * MIB, "--diffopt-update=missing")
    same, more = run(own_pipeline, 2 * MIB), run(own_pipeline, 6 * MIB)

    same.assert_outcomes(passed=1)
    more.assert_outcomes(failed=1)
    more.stdout.fnmatch_lines(
        ["diffopt: *(* allowed)", "to accept this: pytest test_it.py::test_memory --diffopt-update all"]
    )


def test_a_failure_lists_the_lines_that_hold_the_peak(own_pipeline: pytest.Pytester) -> None:
    """The lines that allocated most, with their source."""
    run(own_pipeline, MIB, "--diffopt-update=missing")
    more = run(own_pipeline, 4 * MIB)

    more.stdout.fnmatch_lines(
        [
            "  held at the peak, by the line that allocated it:",
            "    4.00 MiB  test_it.py:7  held = torch.empty(4194304, dtype=torch.uint8, device=latents.device)",
        ]
    )


def test_the_floor_scales_with_the_peak(own_pipeline: pytest.Pytester) -> None:
    """Half a MiB more than 1.5 MiB fails, though it is less than 1 MiB; 3 % more pass."""
    run(own_pipeline, 3 * MIB // 2, "--diffopt-update=missing")
    a_third_more, a_little_more = run(own_pipeline, 2 * MIB), run(own_pipeline, 3 * MIB // 2 + MIB // 20)

    a_third_more.assert_outcomes(failed=1)
    a_third_more.stdout.fnmatch_lines(["  5.0 % or 1*.* KiB allowed, whichever is larger"])
    a_little_more.assert_outcomes(passed=1)


def test_a_pipeline_that_is_faster_passes(project: pytest.Pytester) -> None:
    """Twice as fast passes where 1.5 times is required."""
    project.makepyfile(test_it=FASTER.format(slow_ns=20_000_000, by=1.5))
    result = project.runpytest_inprocess("--diffopt-max-seconds=1")

    result.assert_outcomes(passed=1)


def test_a_pipeline_that_is_not_faster_fails(project: pytest.Pytester) -> None:
    """The ratio, its interval, both medians, and the required factor."""
    project.makepyfile(test_it=FASTER.format(slow_ns=11_000_000, by=1.5))
    result = project.runpytest_inprocess("--diffopt-max-seconds=1", "--tb=short")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["diffopt: only 1.10x as fast as the reference (at least 1.50x required)"])


def test_a_required_factor_of_zero_is_an_error(project: pytest.Pytester) -> None:
    """It would always pass."""
    project.makepyfile(test_it=FASTER.format(slow_ns=11_000_000, by=0))
    result = project.runpytest_inprocess("--tb=short")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["diffopt: assert_faster(by=...) must be a positive number, got: 0"])
