"""Measure how often the paired gate is wrong on the GPU, with pairs of the same code and with injected delays."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import msgspec
import numpy as np

from benchmarks.false_alarms.measuring import Pair, measure
from benchmarks.false_alarms.rules import paired_gate
from benchmarks.on_gpu.cells import NOT_YET, aligned, seconds, why_none
from benchmarks.on_gpu.command import Case, Command, Figures
from benchmarks.on_gpu.gate_call import timed_call, weights_of
from benchmarks.on_gpu.setting import Setting
from pytest_diffopt.records import Device
from pytest_diffopt.statistics.intervals import median
from pytest_diffopt.statistics.resampling import Shares
from pytest_diffopt.statistics.robust_ratio import logs_of, robust_ratio

# Each slowdown occurs in each half, so that an interrupted run has measured all of them.
_MEASURED = (0.0, 0.02, 0.0, 0.05, 0.0, 0.01, 0.0, 0.03) * 2
_REHEARSED = (0.0, 0.05)
_SLOWDOWNS = (0.0, 0.01, 0.02, 0.03, 0.05)
# The gate's default margin and budget.
_MARGIN = 0.01
_SESSION_SECONDS = 60.0
_HEADINGS = ("injected", "pairs", "slower", "not slower", "inconclusive", "slower, same code multiplied")
_PAIR_HEADINGS = ("pair of processes", "head slower by", "deviation", "call", "blocks", "throttled")
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
    number = setting.pick(measured=5000, rehearsed=500)
    device = setting.pick(measured=Device.CUDA, rehearsed=Device.CPU)
    gate = partial(paired_gate, seconds=_SESSION_SECONDS, margin=_MARGIN, number=number, device=device)
    return [
        *aligned([_PAIR_HEADINGS, *(_pair_row(one.name, seen.get(one.name)) for one in planned)]),
        *aligned([_HEADINGS, *(_row(slowdown, pairs, gate) for slowdown in _SLOWDOWNS)]),
        f"{number} sessions of up to {_SESSION_SECONDS:.0f} s, drawn from these pairs; margin {100 * _MARGIN:.0f} %",
    ]


def _pair(figures: Figures) -> Pair:
    return msgspec.convert(figures["pair"], Pair)


def _pair_row(name: str, figures: Figures | None) -> tuple[str, ...]:
    reason = why_none(figures)
    if figures is None or reason:
        return (name, reason, "", "", "", "")
    pair = _pair(figures)
    if not pair.blocks:
        return (name, "throttled", "", "", "0", str(pair.throttled_blocks))
    logs = logs_of(pair.blocks)[None]
    ratio = robust_ratio(logs[..., 0], logs[..., 1])
    base_ns = [time_ns / pair.repeats for block in pair.blocks for time_ns in block.base_ns]
    return (
        name,
        f"{np.expm1(ratio.log_ratio[0]):+.2%}",
        f"{ratio.deviation[0]:.2%}",
        seconds(median(base_ns) / _NS_PER_SECOND),
        str(len(pair.blocks)),
        str(pair.throttled_blocks),
    )


def _row(slowdown: float, pairs: Sequence[Pair], gate: Callable[..., Shares]) -> tuple[str, ...]:
    """Return the outcome shares of sessions drawn from pairs of one slowdown, and of the same code multiplied by it."""
    usable = [pair for pair in pairs if pair.blocks]
    of_this = [pair for pair in usable if pair.slowdown == slowdown]
    same_code = [pair for pair in usable if not pair.slowdown]
    ends, multiplied = gate(of_this), gate(same_code, slowdown=slowdown)
    shares = (ends.slower, ends.as_fast, 1 - ends.slower - ends.as_fast, multiplied.slower)
    return (_injected(slowdown), str(len(of_this)), *map(_share, shares))


def _share(value: float) -> str:
    return NOT_YET if math.isnan(value) else f"{value:.2%}"


FALSE_ALARMS = Command(
    name="false-alarms",
    summary="pairs of processes with the same code, and with slowdowns injected in SDXL",
    cases=_cases,
    table=_table,
    least_seconds=90.0,  # full-size SDXL is built twice sequentially, and timed for 20 s
)
