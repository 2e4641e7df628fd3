"""Timings on a busy or throttled GPU are inconclusive, with the process or the reason; dropped calls are counted."""

from dataclasses import replace

import pytest

from pytest_diffopt.guards.latency import is_fit_for_baseline, judge_latency
from pytest_diffopt.guards.verdict import Outcome
from pytest_diffopt.records import GPUProcess, GPUReading, GPURecord, LatencyRecord, Slowdown
from tests.unit.guards.guard_examples import ENVIRONMENT, RERUN, SEEN, SUBJECT

COOL = GPUReading(sm_clock_mhz=1980, max_sm_clock_mhz=1980, power_milliwatts=651_000, temperature_celsius=58)
HOT = replace(COOL, sm_clock_mhz=1200, temperature_celsius=91, slowdowns=(Slowdown.HARDWARE_THERMAL,))
TRAINING = GPUProcess(pid=4711, name="python3", memory_bytes=2**30, utilization_percent=31)
RECORD = LatencyRecord(subject=SUBJECT, warmup_ns=(9_000_000_000,), samples_ns=(2_400_000_000,) * 5)


def measured(*readings: GPUReading, **changes: object) -> LatencyRecord:
    """Measure on a GPU that reports these readings."""
    return replace(RECORD, gpu=GPURecord(readings=readings), **changes)  # type: ignore[arg-type]


def test_a_busy_gpu_is_inconclusive_and_the_process_is_named() -> None:
    """The timing includes another process, so it is neither compared nor accepted."""
    record = measured(COOL, replace(COOL, others=(TRAINING,)), COOL)
    verdict = judge_latency(record, None, environment=ENVIRONMENT, rerun=RERUN)

    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.explanation == (
        "diffopt: the GPU is busy with python3 (pid 4711, 31.0 % of the GPU, 1.00 GiB): nothing was compared",
        "  GPU  1980 MHz, 58 degrees C, 651 W",
        f"seen on NVIDIA H200, {SEEN}",
        "rerun on an idle GPU that has cooled down",
    )
    assert not is_fit_for_baseline(record)


def test_an_idle_process_does_not_matter() -> None:
    """A process that only holds memory on the GPU costs no time."""
    idle = replace(TRAINING, utilization_percent=0)

    assert is_fit_for_baseline(measured(replace(COOL, others=(idle,))))


@pytest.mark.parametrize(("counted", "outcome"), [(2, Outcome.INCONCLUSIVE), (3, Outcome.MISSING)])
def test_a_throttled_gpu_is_inconclusive_when_too_few_calls_are_left(counted: int, outcome: Outcome) -> None:
    """Three calls without throttling are enough, two are not."""
    record = measured(COOL, HOT, samples_ns=(1,) * counted, throttled_ns=(2,) * 4)

    assert judge_latency(record, None, environment=ENVIRONMENT, rerun=RERUN).outcome is outcome


def test_dropped_calls_are_counted_with_their_reason() -> None:
    """The headline, the range of the readings, the reason, and what could not be read."""
    record = measured(COOL, HOT, samples_ns=(), throttled_ns=(2,) * 4)
    record = replace(record, gpu=GPURecord(readings=(COOL, HOT), unreadable=("clocks: No Permission",)))

    assert judge_latency(record, None, environment=ENVIRONMENT, rerun=RERUN).explanation[:4] == (
        "diffopt: the GPU was throttled in 4 of 4 calls: nothing was compared",
        "  GPU        1200 to 1980 MHz, 58 to 91 degrees C, 651 W",
        "  throttled  4 of 4 calls dropped: hardware thermal slowdown",
        "  not read   clocks: No Permission",
    )
