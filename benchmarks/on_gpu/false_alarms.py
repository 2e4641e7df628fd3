"""Measure how often the paired gate is wrong on the GPU, with pairs of the same code and with injected delays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import msgspec
import numpy as np

from benchmarks.false_alarms.measuring import Pair, measure
from benchmarks.on_gpu.cells import NOT_YET, aligned, seconds, why_none
from benchmarks.on_gpu.command import Case, Command, Figures
from benchmarks.on_gpu.gate_call import timed_call, weights_of
from benchmarks.on_gpu.setting import Setting
from pytest_diffopt.guards.paired_latency import PairedRule
from pytest_diffopt.statistics.intervals import median
from pytest_diffopt.statistics.robust_ratio import log_ratios_of, noise_of_pair
from pytest_diffopt.statistics.sequential import LOOKS, Decision, SequentialRule
from pytest_diffopt.statistics.spread import SimulatedSessions, Spread, spread_of

# Each slowdown occurs in each half, so that an interrupted run has measured all of them.
_MEASURED = (0.0, 0.02, 0.0, 0.05, 0.0, 0.01, 0.0, 0.03) * 2
_REHEARSED = (0.0, 0.05)
_SLOWDOWNS = (0.0, 0.01, 0.02, 0.03, 0.05)
# The gate's default margin.
_MARGIN = 0.01
_HEADINGS = ("injected", "pairs", "head slower by", "slower", "not slower", "inconclusive")
_PAIR_HEADINGS = ("pair of processes", "head slower by", "noise", "call", "blocks", "throttled")
_LEAST_PAIRS = 3
_NS_PER_SECOND = 1e9


@dataclass(frozen=True, kw_only=True, slots=True)
class _Planned:
    """One planned pair of processes."""

    number: int
    slowdown: float
    name: str


def _planned(setting: Setting) -> list[_Planned]:
    order = setting.pick(measured=_MEASURED, rehearsed=_REHEARSED)
    return [
        _Planned(number=number, slowdown=one, name=f"{_injected(one)}, pair {order[:number].count(one) + 1}")
        for number, one in enumerate(order)
    ]


def _injected(slowdown: float) -> str:
    return f"{100 * slowdown:.0f} % injected" if slowdown else "same code"


def _cases(setting: Setting) -> list[Case]:
    return [Case(name=one.name, measure=partial(_measure, setting, one)) for one in _planned(setting)]


def _measure(setting: Setting, planned: _Planned) -> Figures:
    call = timed_call(setting)
    given_seconds = setting.pick(measured=20.0, rehearsed=2.0)
    # On a GPU the gate itself interleaves the processes, so a second measurement is not needed.
    pair = measure(planned.slowdown, seconds=given_seconds, seconds_in_turn=0.0, number=planned.number, call=call)
    return {"recipe": call.recipe, "weights": weights_of(setting), "pair": msgspec.to_builtins(pair)}


def _table(setting: Setting, seen: Mapping[str, Figures]) -> list[str]:
    planned = _planned(setting)
    pairs = [_pair(seen[one.name]) for one in planned if not why_none(seen.get(one.name))]
    usable = [pair for pair in pairs if pair.blocks]
    spread = _spread([pair for pair in usable if not pair.slowdown])
    sessions = SimulatedSessions.drawn(pairs=LOOKS[-1], sessions=setting.pick(measured=4000, rehearsed=500))
    return [
        *aligned([_PAIR_HEADINGS, *(_pair_row(one.name, seen.get(one.name)) for one in planned)]),
        *aligned([_HEADINGS, *(_row(slowdown, usable, spread, sessions) for slowdown in _SLOWDOWNS)]),
        _explained(spread),
    ]


def _spread(same_code: Sequence[Pair]) -> Spread | None:
    return None if len(same_code) < _LEAST_PAIRS else spread_of([_log_ratio(pair) for pair in same_code])


def _explained(spread: Spread | None) -> str:
    if spread is None:
        return f"at least {_LEAST_PAIRS} pairs of the same code show how much processes differ"
    return (
        f"{spread.pairs} pairs of the same code differ by {spread.deviation:.2%}, at most {spread.high:.2%} at 95 % "
        f"confidence; sessions of up to {LOOKS[-1]} pairs are simulated with this limit; margin {100 * _MARGIN:.0f} %"
    )


def _pair(figures: Figures) -> Pair:
    return msgspec.convert(figures["pair"], Pair)


def _pair_row(name: str, figures: Figures | None) -> tuple[str, ...]:
    reason = why_none(figures)
    if figures is None or reason:
        return (name, reason, "", "", "", "")
    pair = _pair(figures)
    if not pair.blocks:
        return (name, "throttled", "", "", "0", str(pair.throttled_blocks))
    base_ns = [time_ns / pair.repeats for block in pair.blocks for time_ns in block.base_ns]
    return (
        name,
        f"{np.expm1(_log_ratio(pair)):+.2%}",
        f"{noise_of_pair(pair.blocks, blocks_of_pairs=[len(pair.blocks)]):.2%}",
        seconds(median(base_ns) / _NS_PER_SECOND),
        str(len(pair.blocks)),
        str(pair.throttled_blocks),
    )


def _log_ratio(pair: Pair) -> float:
    return log_ratios_of(pair.blocks, blocks_of_pairs=[len(pair.blocks)])[0]


def _row(slowdown: float, pairs: Sequence[Pair], spread: Spread | None, sessions: SimulatedSessions) -> tuple[str, ...]:
    """Return the mean of the pairs of one slowdown, and the outcomes of sessions that are simulated with it."""
    measured = [_log_ratio(pair) for pair in pairs if pair.slowdown == slowdown]
    mean = f"{np.expm1(np.mean(measured)):+.2%}" if measured else NOT_YET
    shares = (NOT_YET,) * 3 if spread is None else _shares(sessions, spread, slowdown)
    return (_injected(slowdown), str(len(measured)), mean, *shares)


def _shares(sessions: SimulatedSessions, spread: Spread, slowdown: float) -> tuple[str, ...]:
    """Return the fractions of outcomes, for the distribution with fewer decisions."""
    ends = sessions.ends(_rule(), deviation=spread.high, slowdown=slowdown)
    most_open = max(ends, key=lambda one: one.fraction(Decision.OPEN))
    outcomes = ((Decision.SLOWER,), (Decision.NOT_SLOWER, Decision.FASTER), (Decision.OPEN,))
    return tuple(f"{most_open.fraction(*one):.2%}" for one in outcomes)


def _rule() -> SequentialRule:
    return PairedRule.for_case(margin=_MARGIN, num_cases=1, num_regressed=0).sequential


FALSE_ALARMS = Command(
    name="false-alarms",
    summary="pairs of processes with the same code, and with slowdowns injected in SDXL",
    cases=_cases,
    table=_table,
    least_seconds=90.0,  # full-size SDXL is built twice sequentially, and timed for 20 s
)
