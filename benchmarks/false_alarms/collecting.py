"""Measure the missing pairs of processes, and keep each as soon as it is measured."""

import argparse
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from benchmarks.false_alarms.measuring import Pair, measure
from benchmarks.false_alarms.projects import TimedCall


def read(raw: Path) -> list[Pair]:
    """Return the measured pairs of a file; none if it does not exist."""
    lines = raw.read_bytes().splitlines() if raw.exists() else []
    return [msgspec.json.decode(line, type=Pair) for line in lines]


def pairs_of(
    options: argparse.Namespace, call: TimedCall, *, slowdowns: Iterable[float], seconds_in_turn: float = 0.0
) -> list[Pair]:
    """Return the pairs that a command's options ask for; those that are missing are measured.

    Args:
        options: its `judge_only`, `raw`, `pairs`, `injected_pairs` and `seconds`.
        call: the timed call.
        slowdowns: injected slowdowns of head, as fractions; 0 is the same code.
        seconds_in_turn: how long each pair is also timed interleaved.
    """
    if options.judge_only:
        return read(options.raw)
    expected = {slowdown: options.injected_pairs if slowdown else options.pairs for slowdown in slowdowns}
    return collect(options.raw, expected, call, seconds=options.seconds, seconds_in_turn=seconds_in_turn)


def collect(
    raw: Path, expected: Mapping[float, int], call: TimedCall, *, seconds: float, seconds_in_turn: float
) -> list[Pair]:
    """Return the pairs of a file, after the missing ones were measured and appended to it.

    Args:
        raw: the file, one pair a line.
        expected: for each slowdown, how many pairs there shall be.
        call: the timed call.
        seconds: how long each pair is timed as the paired gate does.
        seconds_in_turn: how long each pair is then timed interleaved.
    """
    # As `make` sets it: what uses several threads is timed interleaved.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    pairs = read(raw)
    for slowdown in _missing(pairs, expected):
        pair = measure(slowdown, seconds=seconds, seconds_in_turn=seconds_in_turn, number=len(pairs), call=call)
        with raw.open("ab") as file:
            file.write(msgspec.json.encode(pair) + b"\n")
        print(f"{slowdown:.0%}: {len(pair.blocks)} blocks {pair.timing} in {pair.seconds:.0f} s", flush=True)
        pairs.append(pair)
    return pairs


def _missing(known: Sequence[Pair], expected: Mapping[float, int]) -> Iterator[float]:
    """Yield the slowdowns to measure, mixed, so that a noisy period affects all of them equally."""
    have = Counter(pair.slowdown for pair in known)
    lacking = [(slowdown, number) for slowdown, most in expected.items() for number in range(have[slowdown], most)]
    for slowdown, _ in sorted(lacking, key=lambda one: (one[1] + 0.5) / expected[one[0]]):
        yield slowdown
