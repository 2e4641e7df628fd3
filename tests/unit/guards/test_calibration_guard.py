"""A calibration says how often the same code would be called slower, and how small a slowdown would be seen."""

import math
import random

import pytest

from pytest_diffopt.guards.calibration import judge_calibration
from pytest_diffopt.guards.verdict import Outcome, Verdict
from pytest_diffopt.records import CalibrationRecord, PairedBlock
from pytest_diffopt.reports.calibration import calibration_lines
from pytest_diffopt.session.ledger import entry_of
from tests.unit.guards.guard_examples import ENVIRONMENT, SEEN, SUBJECT

MS = 1_000_000


def record(deviation: float, *, blocks: int = 60, offsets: tuple[float, ...] = (0.0, 0.0, 0.0)) -> CalibrationRecord:
    """Pretend that pairs of processes differed so much, a block taking a third of a second."""
    die = random.Random(0)  # noqa: S311 - no secret

    def block(offset: float) -> PairedBlock:
        head_ns = round(80 * MS * math.exp(die.gauss(offset, deviation)))
        return PairedBlock(base_ns=(80 * MS, 80 * MS), head_ns=(head_ns, head_ns))

    pairs = tuple(tuple(block(offset) for _ in range(blocks)) for offset in offsets)
    return CalibrationRecord(subject=SUBJECT, repeats=1, pairs=pairs, spent_seconds=len(offsets) * blocks / 3)


def judge(what: CalibrationRecord) -> Verdict:
    """Judge at a margin of 1 % and 60 s a case."""
    return judge_calibration(what, margin=0.01, max_seconds=60.0, environment=ENVIRONMENT)


def test_a_quiet_machine_sees_small_slowdowns() -> None:
    """The less the blocks differ, the smaller the slowdown that is seen and the margin that does."""
    quiet, noisy = judge(record(0.005)), judge(record(0.03))

    assert quiet.outcome is noisy.outcome is Outcome.PASSED
    assert quiet.figures["false_alarm_rate"] == noisy.figures["false_alarm_rate"] == 0
    assert quiet.figures["smallest_slowdown"] == 0.0125
    assert noisy.figures["smallest_slowdown"] > 0.02
    assert quiet.figures["recommended_margin"] < noisy.figures["recommended_margin"]
    assert quiet.summary.startswith("calibrated: false alarms 0 %, detects 1.25 % in 60 s at a margin of 1 %; ")


def test_processes_that_differ_ask_for_a_larger_margin() -> None:
    """Two processes of the same code that are 2 % apart would be a false alarm at 1 %, and the margin says so."""
    verdict = judge(record(0.005, offsets=(0.0, 0.0, 0.02)))

    assert 0.1 < verdict.figures["false_alarm_rate"] < 0.5
    assert verdict.figures["recommended_margin"] == pytest.approx(0.0225, abs=0.0026)


def test_too_few_blocks_calibrate_nothing() -> None:
    """It says how many seconds would do."""
    verdict = judge(record(0.01, blocks=3))

    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.explanation == (
        "diffopt: 9 blocks of the same code against itself are too few to calibrate",
        f"seen on NVIDIA H200, {SEEN}",
        "measure longer: --diffopt-max-seconds 12",
    )


def test_the_terminal_shows_it() -> None:
    """One line a case, whatever the verbosity."""
    what = record(0.005)
    (line,) = calibration_lines([entry_of("test_it.py::test_latency", judge(what), what)])

    assert line.startswith("test_it.py::test_latency: calibrated: false alarms 0 %")
