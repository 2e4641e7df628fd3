"""Calibration reports the false alarm rate of the paired gate and the smallest slowdown that it detects."""

import functools
import math
import random

import pytest

from pytest_diffopt.guards.calibration import judge_calibration
from pytest_diffopt.guards.verdict import Outcome, Verdict
from pytest_diffopt.records import CalibrationRecord, PairedBlock
from pytest_diffopt.reports.calibration import calibration_lines
from pytest_diffopt.session.ledger_entries import entry_of
from tests.unit.guards.guard_examples import ENVIRONMENT, SEEN, SUBJECT

MS = 1_000_000


def record(deviation: float, *, blocks: int = 60, offsets: tuple[float, ...] = (0.0, 0.0, 0.0)) -> CalibrationRecord:
    """Return blocks of processes that differ by these fractions; each block takes a third of a second."""
    die = random.Random(0)  # noqa: S311 - no secret

    def block(offset: float) -> PairedBlock:
        head_ns = round(80 * MS * math.exp(die.gauss(offset, deviation)))
        return PairedBlock(base_ns=(80 * MS, 80 * MS), head_ns=(head_ns, head_ns))

    pairs = tuple(tuple(block(offset) for _ in range(blocks)) for offset in offsets)
    return CalibrationRecord(subject=SUBJECT, repeats=1, pairs=pairs, spent_seconds=len(offsets) * blocks / 3)


@functools.cache
def judge(what: CalibrationRecord) -> Verdict:
    """Judge at a margin of 1 % and with 60 s per test; 2000 sessions are resampled, so only once."""
    return judge_calibration(what, margin=0.01, max_seconds=60.0, environment=ENVIRONMENT)


def test_a_quiet_machine_detects_small_slowdowns() -> None:
    """The less the blocks differ, the smaller the detected slowdown and the recommended margin."""
    quiet, noisy = judge(record(0.005)), judge(record(0.03))

    assert quiet.outcome is noisy.outcome is Outcome.PASSED
    assert quiet.figures["false_alarm_rate"] == noisy.figures["false_alarm_rate"] == 0
    assert quiet.figures["smallest_slowdown"] == 0.0125
    assert noisy.figures["smallest_slowdown"] > 0.02
    assert quiet.figures["recommended_margin"] < noisy.figures["recommended_margin"]
    assert quiet.summary.startswith("calibrated: false alarms 0 %, detects 1.25 % in 60 s at a margin of 1 %; ")


def test_processes_that_differ_need_a_larger_margin() -> None:
    """Two processes of the same code that are 2 % apart are a false alarm at a margin of 1 %."""
    verdict = judge(record(0.005, offsets=(0.0, 0.0, 0.02)))

    assert 0.1 < verdict.figures["false_alarm_rate"] < 0.5
    assert verdict.figures["recommended_margin"] == pytest.approx(0.0225, abs=0.0026)


def test_too_few_blocks_are_inconclusive() -> None:
    """The hint gives the number of seconds that suffices."""
    verdict = judge(record(0.01, blocks=3))

    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.explanation == (
        "diffopt: 9 blocks of the same code against itself are too few to calibrate",
        f"seen on NVIDIA H200, {SEEN}",
        "measure longer: --diffopt-max-seconds 12",
    )


def test_the_terminal_shows_the_calibration() -> None:
    """One line per test, at any verbosity."""
    what = record(0.005)
    (line,) = calibration_lines([entry_of("test_it.py::test_latency", judge(what), what)])

    assert line.startswith("test_it.py::test_latency: calibrated: false alarms 0 %")
