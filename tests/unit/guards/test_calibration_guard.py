"""Calibration reports how much processes differ, and which slowdowns the paired gate then detects."""

import functools
import math
import random

from pytest_diffopt.guards.calibration import judge_calibration
from pytest_diffopt.guards.verdict import Outcome, Verdict
from pytest_diffopt.records import CalibrationRecord, PairedBlock
from pytest_diffopt.reports.calibration import calibration_lines
from pytest_diffopt.session.ledger_entries import entry_of
from pytest_diffopt.statistics.sequential import SequentialRule
from tests.unit.guards.guard_examples import ENVIRONMENT, SEEN, SUBJECT

MS = 1_000_000
RULE = SequentialRule(margin=0.01, false_alarms=0.001)


def record(spread: float, *, pairs: int = 30, noise: float = 0.003) -> CalibrationRecord:
    """Return two seconds of each pair of processes, which differ with this standard deviation."""
    die = random.Random(0)  # noqa: S311 - no secret

    def block(lasting: float) -> PairedBlock:
        first, second = (round(80 * MS * math.exp(lasting + die.gauss(0, noise))) for _ in range(2))
        return PairedBlock(base_ns=(80 * MS, 80 * MS), head_ns=(first, second))

    timed = tuple(tuple(block(lasting) for _ in range(6)) for lasting in (die.gauss(0, spread) for _ in range(pairs)))
    return CalibrationRecord(subject=SUBJECT, repeats=1, pairs=timed, spent_seconds=2.0 * pairs)


@functools.cache
def judge(what: CalibrationRecord) -> Verdict:
    """Judge at a margin of 1 %; thousands of sessions are simulated, so only once."""
    return judge_calibration(what, rule=RULE, environment=ENVIRONMENT)


def test_a_quiet_machine_detects_small_slowdowns() -> None:
    """The less the processes differ, the smaller the detected slowdown and the recommended margin."""
    quiet, noisy = judge(record(0.003)).figures, judge(record(0.02)).figures

    assert quiet["smallest_slowdown"] == 0.0125
    assert noisy["smallest_slowdown"] > 0.02
    assert quiet["recommended_margin"] < 0.01 < noisy["recommended_margin"]
    assert quiet["false_alarm_rate_limit"] <= noisy["false_alarm_rate_limit"] <= 0.003


def test_every_figure_has_a_limit() -> None:
    """The summary has the figure and what the uncertainty of thirty pairs makes of it."""
    assert judge(record(0.006)).summary == (
        "calibrated: 30 pairs of processes differ by 0.569 % (at most 0.728 %), false alarms below 0.0726 %, "
        "detects 1.5 % (at most 1.5 %) at a margin of 1 %; recommended margin 0.5 %; each limit at 95 % confidence"
    )


def test_few_pairs_of_processes_recommend_a_larger_margin() -> None:
    """With the same estimate: what was not seen is not recommended."""
    few, many = (judge(record(0.006, pairs=pairs)).figures for pairs in (9, 30))

    assert few["process_pair_deviation_limit"] / few["process_pair_deviation"] > 1.7
    assert many["process_pair_deviation_limit"] / many["process_pair_deviation"] < 1.3
    assert few["recommended_margin"] > many["recommended_margin"]


def test_too_few_pairs_are_inconclusive() -> None:
    """The hint gives the number of seconds that suffices."""
    verdict = judge(record(0.01, pairs=6))

    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.explanation == (
        "diffopt: 6 pairs of processes of the same code are too few to calibrate (9 required)",
        f"seen on NVIDIA H200, {SEEN}",
        "measure longer: --diffopt-max-seconds 27",
    )


def test_a_clock_that_sees_no_spread_is_inconclusive() -> None:
    """No difference at all is a property of the clock; no margin follows from it."""
    verdict = judge(record(0.0, noise=0.0))

    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.explanation == (
        "diffopt: 30 pairs of processes of the same code do not differ at all: the clock does not resolve their spread",
        f"seen on NVIDIA H200, {SEEN}",
        "time a longer call",
    )


def test_the_terminal_shows_the_calibration() -> None:
    """One line per test, at any verbosity."""
    what = record(0.003)
    (line,) = calibration_lines([entry_of("test_it.py::test_latency", judge(what), what)])

    assert line.startswith("test_it.py::test_latency: calibrated: 30 pairs of processes differ by ")
