"""Estimate what the paired gate can detect on this machine, from timings of the same code against itself."""

import math
from collections.abc import Callable

from pytest_diffopt.guards.comparison import undecided
from pytest_diffopt.guards.failure_text import counted
from pytest_diffopt.guards.host_time import timed_on
from pytest_diffopt.guards.paired_latency import FALSE_ALARMS
from pytest_diffopt.guards.verdict import Outcome, Verdict
from pytest_diffopt.records import CalibrationRecord, Concern, Environment
from pytest_diffopt.statistics.resampling import ResampledSessions
from pytest_diffopt.statistics.sequential import SequentialRule, between_process_deviation

_POWER = 0.95
_STEP = 0.0025
_LARGEST = 0.5
#: The least number of blocks that can represent a session.
_LEAST_BLOCKS = 24


def judge_calibration(
    record: CalibrationRecord, *, margin: float, max_seconds: float, environment: Environment
) -> Verdict:
    """Estimate the false alarm rate, the smallest slowdown that is detected, and the margin to use.

    Args:
        record: blocks of the same code against itself.
        margin: the allowed slowdown, as a fraction.
        max_seconds: the time budget of a test, in seconds.
        environment: the machine.
    """
    total = sum(map(len, record.pairs))
    if min(map(len, record.pairs), default=0) < _LEAST_BLOCKS // max(1, len(record.pairs)):
        return _too_few(record, total, environment)
    count = max(2, round(max_seconds / (record.spent_seconds / total)))
    sessions, rule = ResampledSessions.drawn_from(record.pairs, count=count), _rule(record, margin)
    alarms = sessions.shares(rule).slower
    smallest = _smallest_slowdown(sessions, rule)
    recommended = _recommended_margin(sessions, record)
    seen = "nothing below 50 %" if smallest is None else _percent(smallest)
    take = "none up to 50 %" if recommended is None else _percent(recommended)
    return Verdict(
        concern=Concern.LATENCY,
        outcome=Outcome.PASSED,
        subject=record.subject,
        summary=(
            f"calibrated: false alarms {_percent(alarms)}, detects {seen} in {max_seconds:g} s at a margin of "
            f"{_percent(margin)}; recommended margin {take}"
        ),
        figures={
            "false_alarm_rate": alarms,
            "smallest_slowdown": math.inf if smallest is None else smallest,
            "recommended_margin": math.inf if recommended is None else recommended,
            "margin": margin,
            "max_seconds": max_seconds,
            "blocks": total,
        },
    )


def _percent(fraction: float) -> str:
    """Write a fraction as percent with four significant digits: `1.25 %`."""
    return f"{100 * fraction:.4g} %"


def _too_few(record: CalibrationRecord, total: int, environment: Environment) -> Verdict:
    blocks = counted(total, "block")
    needed = math.ceil(record.spent_seconds * _LEAST_BLOCKS / max(1, total) * 1.5)
    return undecided(
        Concern.LATENCY,
        record.subject,
        f"{blocks} of the same code against itself are too few to calibrate",
        seen=timed_on(record.subject, environment.device_name),
        hint=f"measure longer: --diffopt-max-seconds {needed}",
        summary=f"not calibrated: {blocks}",
    )


def _smallest_slowdown(sessions: ResampledSessions, rule: SequentialRule) -> float | None:
    """Return the smallest slowdown, in steps of 0.25 %, that fails in at least 95 % of sessions."""
    return _smallest(lambda slowdown: sessions.shares(rule, slowdown=slowdown).slower >= _POWER, least=rule.margin)


def _recommended_margin(sessions: ResampledSessions, record: CalibrationRecord) -> float | None:
    """Return the smallest margin, in steps of 0.25 %, at which the same code passes in at least 95 % of sessions."""

    def is_quiet(margin: float) -> bool:
        shares = sessions.shares(_rule(record, margin))
        return shares.slower <= FALSE_ALARMS and shares.as_fast >= _POWER

    return _smallest(is_quiet, least=_STEP)


def _smallest(is_enough: Callable[[float], bool], *, least: float) -> float | None:
    """Return the smallest fraction in steps of 0.25 %, up to 50 %, for which `is_enough`; None if there is none."""
    low, high = math.ceil(least / _STEP), round(_LARGEST / _STEP)
    if not is_enough(high * _STEP):
        return None
    while low < high:
        middle = (low + high) // 2
        if is_enough(middle * _STEP):
            high = middle
        else:
            low = middle + 1
    return low * _STEP


def _rule(record: CalibrationRecord, margin: float) -> SequentialRule:
    apart = between_process_deviation(record.timing, record.subject.device)
    return SequentialRule(margin=margin, false_alarms=FALSE_ALARMS, between_process_deviation=apart)
