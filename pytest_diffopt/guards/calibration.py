"""What the paired gate can see on this machine: the same code against itself, and what it would say of slowdowns."""

import math
from collections.abc import Sequence

from pytest_diffopt.guards.explain import counted, explain
from pytest_diffopt.guards.paired import FALSE_ALARMS, log_ratio
from pytest_diffopt.guards.verdict import Outcome, Verdict
from pytest_diffopt.records import CalibrationRecord, Concern, Environment
from pytest_diffopt.resampling import sequential_shares

_POWER = 0.95
_STEP = 0.0025
_LARGEST = 0.5
#: Fewer blocks than this cannot stand for a session.
_LEAST_BLOCKS = 24


def judge_calibration(
    record: CalibrationRecord, *, margin: float, max_seconds: float, environment: Environment
) -> Verdict:
    """Say how often the same code would be called slower, how small a slowdown would be seen, and which margin to take.

    Args:
        record: blocks of the same code against itself.
        margin: the slowdown that is allowed.
        max_seconds: the budget of a case.
        environment: the machine.
    """
    measured = [[log_ratio(block) for block in pair] for pair in record.pairs]
    total = sum(map(len, measured))
    if min(map(len, measured), default=0) < _LEAST_BLOCKS // max(1, len(measured)):
        return _too_few(record, total, environment)
    count = max(2, round(max_seconds / (record.spent_seconds / total)))
    alarms = _share_above(measured, 0.0, margin, count)
    smallest = _smallest_slowdown(measured, margin, count)
    recommended = _recommended_margin(measured, count)
    seen = "nothing below 50 %" if smallest is None else _percent(smallest)
    take = "none up to 50 %" if recommended is None else _percent(recommended)
    return Verdict(
        concern=Concern.LATENCY,
        outcome=Outcome.PASSED,
        subject=record.subject,
        summary=(
            f"calibrated: false alarms {_percent(alarms)}, sees {seen} in {max_seconds:g} s at a margin of "
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
    """Write a fraction as percent, to the hundredth: `1.25 %`."""
    return f"{100 * fraction:.4g} %"


def _too_few(record: CalibrationRecord, total: int, environment: Environment) -> Verdict:
    blocks = counted(total, "block")
    needed = math.ceil(record.spent_seconds * _LEAST_BLOCKS / max(1, total) * 1.5)
    return Verdict(
        concern=Concern.LATENCY,
        outcome=Outcome.INCONCLUSIVE,
        subject=record.subject,
        summary=f"not calibrated: {blocks}",
        explanation=explain(
            f"{blocks} of the same code against itself are too few to calibrate with",
            seen=f"on {environment.device_name}, {record.subject}",
            remedy=f"give it more time: --diffopt-max-seconds {needed}",
        ),
    )


def _share_above(measured: Sequence[Sequence[float]], slowdown: float, margin: float, count: int) -> float:
    return sequential_shares(
        measured, shift=math.log1p(slowdown), limit=math.log1p(margin), count=count, confidence=1 - FALSE_ALARMS
    ).above


def _smallest_slowdown(measured: Sequence[Sequence[float]], margin: float, count: int) -> float | None:
    """Return the smallest slowdown, in steps of 0.25 %, that is called one often enough."""
    low, high = math.ceil(margin / _STEP), round(_LARGEST / _STEP)
    if _share_above(measured, high * _STEP, margin, count) < _POWER:
        return None
    while low < high:
        middle = (low + high) // 2
        if _share_above(measured, middle * _STEP, margin, count) >= _POWER:
            high = middle
        else:
            low = middle + 1
    return low * _STEP


def _recommended_margin(measured: Sequence[Sequence[float]], count: int) -> float | None:
    """Return the smallest margin, in steps of 0.25 %, at which the same code passes and hardly ever fails."""
    low, high = 1, round(_LARGEST / _STEP)
    if not _is_quiet(measured, high * _STEP, count):
        return None
    while low < high:
        middle = (low + high) // 2
        if _is_quiet(measured, middle * _STEP, count):
            high = middle
        else:
            low = middle + 1
    return low * _STEP


def _is_quiet(measured: Sequence[Sequence[float]], margin: float, count: int) -> bool:
    shares = sequential_shares(measured, shift=0.0, limit=math.log1p(margin), count=count, confidence=1 - FALSE_ALARMS)
    return shares.above <= FALSE_ALARMS and shares.below >= _POWER
