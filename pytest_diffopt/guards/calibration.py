"""Estimate what the paired gate can detect on this machine, from timings of the same code against itself."""

import math
from dataclasses import replace

from pytest_diffopt.guards.comparison import undecided
from pytest_diffopt.guards.failure_text import counted
from pytest_diffopt.guards.host_time import timed_on
from pytest_diffopt.guards.verdict import Outcome, Verdict
from pytest_diffopt.records import CalibrationRecord, Concern, Environment
from pytest_diffopt.statistics.robust_ratio import log_ratios_of
from pytest_diffopt.statistics.sequential import FEWEST_PAIRS_OF_A_CHANGE, Decision, SequentialRule
from pytest_diffopt.statistics.spread import SimulatedSessions, Spread, smallest_step, spread_of, upper_limit

_POWER = 0.95
_STEP = 0.0025
_LARGEST = 0.5
_HALF = 0.5
_RESERVE = 1.5
_SESSIONS_OF_RARE_ERRORS = 40_000


def judge_calibration(record: CalibrationRecord, *, rule: SequentialRule, environment: Environment) -> Verdict:
    """Estimate the spread between pairs of processes, and what the rule decides with it.

    Every figure has a limit at 95 % confidence, for the uncertainty of the spread; the recommended margin is computed
    from the limit alone.

    Args:
        record: blocks of the same code against itself.
        rule: the rule of the gate for one test of this session.
        environment: the machine.
    """
    if len(record.pairs) < FEWEST_PAIRS_OF_A_CHANGE:
        return _too_few(record, environment)
    blocks = [block for pair in record.pairs for block in pair]
    spread = spread_of(log_ratios_of(blocks, blocks_of_pairs=[len(pair) for pair in record.pairs]))
    if not spread.deviation:
        return _not_resolved(record, environment)
    figures = _figures(rule, spread)
    return Verdict(
        concern=Concern.LATENCY,
        outcome=Outcome.PASSED,
        subject=record.subject,
        summary=_summary(figures, rule, spread),
        figures=figures | {"margin": rule.margin, "process_pairs": spread.pairs, "blocks": len(blocks)},
    )


def _figures(rule: SequentialRule, spread: Spread) -> dict[str, float]:
    sessions = SimulatedSessions.drawn(pairs=spread.pairs)
    return {
        "process_pair_deviation": spread.deviation,
        "process_pair_deviation_limit": spread.high,
        "false_alarm_rate_limit": _false_alarm_limit(rule, spread),
        "smallest_slowdown": _smallest_slowdown(sessions, rule, spread.deviation),
        "smallest_slowdown_limit": _smallest_slowdown(sessions, rule, spread.high),
        "recommended_margin": _recommended_margin(sessions, rule, spread.high),
    }


def _false_alarm_limit(rule: SequentialRule, spread: Spread) -> float:
    """Return the upper limit of the fraction of sessions that call a slowdown of half of the margin slower."""
    sessions = SimulatedSessions.drawn(pairs=spread.pairs, sessions=_SESSIONS_OF_RARE_ERRORS)
    ends = sessions.ends(rule, deviation=spread.high, slowdown=_HALF * rule.margin)
    slower = (int((one.decisions == Decision.SLOWER).sum()) for one in ends)
    return upper_limit(max(slower), len(ends[0].decisions), confidence=spread.confidence)


def _smallest_slowdown(sessions: SimulatedSessions, rule: SequentialRule, deviation: float) -> float:
    """Return the smallest slowdown, in steps of 0.25 %, that fails in at least 95 % of sessions; infinite if none."""

    def is_detected(slowdown: float) -> bool:
        return sessions.least(rule, Decision.SLOWER, deviation=deviation, slowdown=slowdown) >= _POWER

    found = smallest_step(is_detected, least=rule.margin, step=_STEP, largest=_LARGEST)
    return math.inf if found is None else found


def _recommended_margin(sessions: SimulatedSessions, rule: SequentialRule, deviation: float) -> float:
    """Return the smallest margin, in steps of 0.25 %, with which the same code passes in at least 95 % of sessions."""

    def passes(margin: float) -> bool:
        passed = (Decision.NOT_SLOWER, Decision.FASTER)
        return sessions.least(replace(rule, margin=margin), *passed, deviation=deviation) >= _POWER

    found = smallest_step(passes, least=_STEP, step=_STEP, largest=_LARGEST)
    return math.inf if found is None else found


def _summary(figures: dict[str, float], rule: SequentialRule, spread: Spread) -> str:
    return (
        f"calibrated: {spread.pairs} pairs of processes differ by {_percent(spread.deviation)} "
        f"(at most {_percent(spread.high)}), false alarms below {_percent(figures['false_alarm_rate_limit'])}, "
        f"detects {_percent(figures['smallest_slowdown'])} (at most {_percent(figures['smallest_slowdown_limit'])}) "
        f"at a margin of {_percent(rule.margin)}; recommended margin {_percent(figures['recommended_margin'])}; "
        f"each limit at {_percent(spread.confidence)} confidence"
    )


def _percent(fraction: float) -> str:
    """Write a fraction as percent with at most three significant digits: `1.25 %`."""
    return f"{100 * fraction:.3g} %" if math.isfinite(fraction) else "nothing up to 50 %"


def _too_few(record: CalibrationRecord, environment: Environment) -> Verdict:
    pairs = counted(len(record.pairs), "pair")
    seconds = record.spent_seconds * FEWEST_PAIRS_OF_A_CHANGE / max(1, len(record.pairs)) * _RESERVE
    return _undecided(
        record,
        environment,
        f"{pairs} of processes of the same code are too few to calibrate ({FEWEST_PAIRS_OF_A_CHANGE} required)",
        hint=f"measure longer: --diffopt-max-seconds {math.ceil(seconds)}",
        summary=f"not calibrated: {pairs} of processes",
    )


def _not_resolved(record: CalibrationRecord, environment: Environment) -> Verdict:
    pairs = counted(len(record.pairs), "pair")
    return _undecided(
        record,
        environment,
        f"{pairs} of processes of the same code do not differ at all: the clock does not resolve their spread",
        hint="time a longer call",
        summary="not calibrated: no spread between pairs of processes was seen",
    )


def _undecided(
    record: CalibrationRecord, environment: Environment, headline: str, *, hint: str, summary: str
) -> Verdict:
    seen = timed_on(record.subject, environment.device_name)
    return undecided(Concern.LATENCY, record.subject, headline, seen=seen, hint=hint, summary=summary)
