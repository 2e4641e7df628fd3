"""Measure, judge by every rule, print the table, draw the curve.

python -m benchmarks.false_alarms --pairs 12 --seconds 60 --raw false_alarms.json --picture power.png
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import msgspec

from benchmarks.false_alarms.measuring import Pair, measure
from benchmarks.false_alarms.rules import (
    asv,
    paired_gate_share,
    pytest_benchmark,
    sessions_of,
    share,
    stored_gate,
    t_test,
)

_SLOWDOWNS = (0.0, 0.01, 0.02, 0.03, 0.05, 0.1)
_THRESHOLDS = [step / 1000 for step in range(100)]


def main(arguments: Sequence[str] | None = None) -> None:
    """Do what the command line says."""
    options = _parsed(arguments)
    raw: Path = options.raw
    pairs = msgspec.json.decode(raw.read_bytes(), type=list[Pair]) if options.judge_only else _measured(options)
    raw.write_bytes(msgspec.json.encode(pairs))
    table = _table(pairs, options)
    _print(table, pairs, options)
    if options.picture:
        _draw(table, options.picture)


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.false_alarms", description=__doc__)
    parser.add_argument("--pairs", type=int, default=12, help="pairs of processes of the same code")
    parser.add_argument("--planted-pairs", type=int, default=2, help="pairs of processes for each planted slowdown")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long each pair is timed")
    parser.add_argument("--session", type=float, default=60.0, help="the length of a session that is judged")
    parser.add_argument("--margin", type=float, default=0.01, help="of the paired gate")
    parser.add_argument("--sessions", type=int, default=2000, help="how many are drawn")
    parser.add_argument("--raw", type=Path, default=Path("false_alarms.json"), help="where the raw times go")
    parser.add_argument("--judge-only", action="store_true", help="judge the times in --raw again")
    parser.add_argument("--picture", type=Path, help="where the power curve goes; needs matplotlib")
    return parser.parse_args(arguments)


def _measured(options: argparse.Namespace) -> list[Pair]:
    pairs: list[Pair] = []
    for slowdown in _SLOWDOWNS:
        for seed in range(options.planted_pairs if slowdown else options.pairs):
            pairs.append(measure(slowdown, seconds=options.seconds, seed=seed))
            print(f"{slowdown:.0%}: {len(pairs[-1].blocks)} blocks", flush=True)
    return pairs


def _table(pairs: Sequence[Pair], options: argparse.Namespace) -> dict[str, list[float]]:
    """Return for each rule how often it calls head slower, in the order of the slowdowns."""
    same = [pair for pair in pairs if not pair.slowdown]
    groups = [[pair for pair in pairs if pair.slowdown == slowdown] for slowdown in _SLOWDOWNS]
    drawn = [
        sessions_of(group, same, seconds=options.session, number=options.sessions, seed=seed)
        for seed, group in enumerate(groups)
    ]
    table = {
        "paired gate": [
            paired_gate_share(group, seconds=options.session, margin=options.margin, number=options.sessions)
            for group in groups
        ],
        "stored gate, 5 % and 1 ms": [share(stored_gate, sessions) for sessions in drawn],
        "pytest-benchmark median:5%": [share(pytest_benchmark(0.05), sessions) for sessions in drawn],
        "asv, interleaved": [share(asv, sessions) for sessions in drawn],
        "t-test at 5 %, interleaved": [share(t_test, sessions) for sessions in drawn],
    }
    ours = table["paired gate"][_SLOWDOWNS.index(0.02)]
    seeing_2 = drawn[_SLOWDOWNS.index(0.02)]
    equal = max((one for one in _THRESHOLDS if share(pytest_benchmark(one), seeing_2) >= ours), default=0.0)
    name = f"pytest-benchmark median:{equal:.1%}, which sees 2 % as often"
    return table | {name: [share(pytest_benchmark(equal), sessions) for sessions in drawn]}


def _print(table: dict[str, list[float]], pairs: Sequence[Pair], options: argparse.Namespace) -> None:
    same = [pair for pair in pairs if not pair.slowdown]
    print(
        f"{len(same)} pairs of processes of the same code, {sum(len(one.blocks) for one in same)} blocks in "
        f"{sum(one.seconds for one in same):.0f} s; {options.sessions} sessions of {options.session:g} s each\n"
    )
    print("| called slower | " + " | ".join("same code" if not one else f"{one:.0%}" for one in _SLOWDOWNS) + " |")
    print("|---" * (len(_SLOWDOWNS) + 1) + "|")
    for name, shares in table.items():
        print(f"| {name} | " + " | ".join(f"{one:.2%}" for one in shares) + " |")


def _draw(table: dict[str, list[float]], picture: Path) -> None:
    import matplotlib as mpl  # noqa: PLC0415 - only for the picture

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - after the backend is chosen

    figure, axes = plt.subplots(figsize=(8, 4.5))
    for name, shares in table.items():
        axes.plot([100 * one for one in _SLOWDOWNS], [100 * one for one in shares], marker="o", label=name)
    axes.set(xlabel="planted slowdown, %", ylabel="called slower, % of sessions")
    axes.legend(fontsize="small")
    axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(picture, dpi=120)


if __name__ == "__main__":
    main()
