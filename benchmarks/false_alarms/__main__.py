"""Measure pairs of processes, apply every timing rule, print the table and plot the power curve.

python -m benchmarks.false_alarms --raw false_alarms.jsonl --page docs/latency.md --image docs/power.png

Each pair is appended to the --raw file as soon as it is measured. Repeat an interrupted command to continue.
"""

import argparse
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.false_alarms.collecting import pairs_of
from benchmarks.false_alarms.measuring import Pair
from benchmarks.false_alarms.projects import TINY_ON_CPU
from benchmarks.false_alarms.resampled import log_ratio_of
from benchmarks.false_alarms.rules import (
    Session,
    Shares,
    asv,
    paired_gate,
    pytest_benchmark,
    sessions_of,
    share,
    stored_gate,
    t_test,
)
from benchmarks.marked_section import replace_section
from pytest_diffopt.guards.failure_text import percent

_SLOWDOWNS = (0.0, 0.01, 0.02, 0.03, 0.05, 0.1)
_SECTION = "false-alarms"
_THRESHOLDS = [step / 1000 for step in range(100)]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    options = _parsed(arguments)
    pairs = pairs_of(options, TINY_ON_CPU, slowdowns=options.slowdowns, seconds_in_turn=options.seconds_in_turn)
    multiplied = _ends(pairs, options)
    table = _table(pairs, multiplied, options)
    lines = _lines(table, pairs)
    print(_summary(pairs, multiplied[0.0], options), *lines, sep="\n")
    if options.page:
        replace_section(options.page, _SECTION, lines)
    if options.image:
        _draw(table, options.image)


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.false_alarms", description=__doc__)
    parser.add_argument("--pairs", type=int, default=200, help="pairs of processes that run the same code")
    parser.add_argument("--injected-pairs", type=int, default=60, help="pairs of processes for each injected slowdown")
    parser.add_argument(
        "--slowdowns",
        type=float,
        nargs="+",
        default=_SLOWDOWNS,
        choices=_SLOWDOWNS,
        metavar="X",
        help="slowdowns to measure, as fractions; all of them by default",
    )
    parser.add_argument("--seconds", type=float, default=10.0, help="how long each pair is timed concurrently")
    parser.add_argument(
        "--seconds-in-turn",
        type=float,
        default=3.0,
        help="how long each pair is timed interleaved, for the other rules",
    )
    parser.add_argument("--session", type=float, default=60.0, help="length of a simulated session")
    parser.add_argument("--margin", type=float, default=0.01, help="margin of the paired gate, as a fraction")
    parser.add_argument("--sessions", type=int, default=10_000, help="how many sessions are drawn")
    parser.add_argument("--raw", type=Path, default=Path("false_alarms.jsonl"), help="measured times, one pair a line")
    parser.add_argument("--judge-only", action="store_true", help="do not measure, only apply the rules to --raw")
    parser.add_argument("--page", type=Path, help="page of the documentation to write the table into")
    parser.add_argument("--image", type=Path, help="file for the plot of the power curve; needs matplotlib")
    return parser.parse_args(arguments)


def _groups(pairs: Sequence[Pair]) -> list[list[Pair]]:
    return [[pair for pair in pairs if pair.slowdown == slowdown] for slowdown in _SLOWDOWNS]


def _ends(pairs: Sequence[Pair], options: argparse.Namespace) -> dict[float, Shares]:
    """Return the outcome shares of paired-gate sessions of the same code, multiplied by each slowdown."""
    same = [pair for pair in pairs if not pair.slowdown]
    return {slowdown: paired_gate(same, slowdown=slowdown, **_gate(options)) for slowdown in _SLOWDOWNS}


def _gate(options: argparse.Namespace) -> dict[str, Any]:
    return {"seconds": options.session, "margin": options.margin, "number": options.sessions}


def _table(
    pairs: Sequence[Pair], multiplied: Mapping[float, Shares], options: argparse.Namespace
) -> dict[str, list[float]]:
    """Return for each rule the share of sessions in which head is reported slower, one figure for each slowdown."""
    groups = _groups(pairs)
    drawn = [sessions_of(group, number=options.sessions // 5, seed=seed) for seed, group in enumerate(groups)]
    injected = [paired_gate(group, **_gate(options)) for group in groups[1:]]
    table = {
        "paired gate": [ends.slower for ends in (multiplied[0.0], *injected)],
        "paired gate, multiplied into the same code": [ends.slower for ends in multiplied.values()],
        "stored gate, 5 % and 1 ms": [share(stored_gate, sessions) for sessions in drawn],
        "pytest-benchmark median:5%": [share(pytest_benchmark(0.05), sessions) for sessions in drawn],
        "asv, interleaved": [share(asv, sessions) for sessions in drawn],
        "t-test at 5 %, interleaved": [share(t_test, sessions) for sessions in drawn],
    }
    return table | _equally_powerful(table["paired gate"], drawn)


def _equally_powerful(
    paired_gate_shares: Sequence[float], drawn: Sequence[Sequence[Session]]
) -> dict[str, list[float]]:
    """Return the row of pytest-benchmark with the threshold that detects 2 % as often as the paired gate does."""
    index = _SLOWDOWNS.index(0.02)
    as_often = [one for one in _THRESHOLDS if share(pytest_benchmark(one), drawn[index]) >= paired_gate_shares[index]]
    equal = max(as_often, default=0.0)
    power = "which detects 2 % as often" if as_often else "which detects 2 % as often as it can"
    name = f"pytest-benchmark median:{equal:.1%}, {power}"
    return {name: [share(pytest_benchmark(equal), sessions) for sessions in drawn]}


def _summary(pairs: Sequence[Pair], passed: Shares, options: argparse.Namespace) -> str:
    same = [pair for pair in pairs if not pair.slowdown]
    return (
        f"{len(same)} pairs of processes that run the same code, {sum(len(one.blocks) for one in same)} blocks in "
        f"{sum(one.seconds for one in same):.0f} s; {options.sessions} sessions of up to {options.session:g} s each\n"
        f"the same code passes the paired gate in {passed.as_fast:.2%} of the sessions, after "
        f"{passed.median_seconds:g} s of timing in the median; the other sessions are inconclusive\n"
    )


def _lines(table: Mapping[str, Sequence[float]], pairs: Sequence[Pair]) -> list[str]:
    """Return the table in Markdown; its second row has the means of the measured pairs, and how many there are."""
    return [
        "| called slower | " + " | ".join("same code" if not one else f"{100 * one:g} %" for one in _SLOWDOWNS) + " |",
        "|---" * (len(_SLOWDOWNS) + 1) + "|",
        "| measured pairs, and their mean | " + " | ".join(map(_measured, _groups(pairs))) + " |",
        *(f"| {name} | {' | '.join(map(_percent, shares))} |" for name, shares in table.items()),
    ]


def _measured(pairs: Sequence[Pair]) -> str:
    if not pairs:
        return "0"
    ratios = [log_ratio_of(pair, seconds=pair.seconds) for pair in pairs]
    mean = 100 * math.expm1(sum(ratios) / len(ratios))
    return f"{len(pairs)}: {round(mean, 1) + 0.0:+.1f} %"  # never minus zero


def _percent(share_of_sessions: float) -> str:
    return "-" if math.isnan(share_of_sessions) else percent(share_of_sessions)


def _draw(table: dict[str, list[float]], image: Path) -> None:
    import matplotlib as mpl  # noqa: PLC0415 - optional, only for the plot

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - after the backend is selected

    figure, axes = plt.subplots(figsize=(8, 6))
    for name, shares in table.items():
        axes.plot([100 * one for one in _SLOWDOWNS], [100 * one for one in shares], marker="o", label=name)
    axes.set(xlabel="injected slowdown, %", ylabel="reported slower, % of sessions")
    axes.legend(fontsize="small", loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=2)
    axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(image, dpi=120)


if __name__ == "__main__":
    main()
