"""Simulate every cell, keep the counts, and write the tables into the documentation.

python -m benchmarks.error_rates --page docs/latency.md

Counts are saved in the --results file after each portion of a cell, so an interrupted command continues.
"""

import argparse
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from benchmarks.error_rates.cells import CELLS, Cell
from benchmarks.error_rates.other_gates import FASTER_CELLS, STORED_CELLS, faster_rate, stored_rates
from benchmarks.error_rates.rates import CellResult, merged, result_of
from benchmarks.error_rates.simulating import sessions_judged
from benchmarks.error_rates.tables import faster_table, page_with, paired_table, stored_table

_RESULTS = Path(__file__).with_name("results.json")
#: The limits of a rate of 0.1 % of sessions need this many of them.
_LEAST_SESSIONS = 10_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code is 1 if a claim is broken in a cell for which it is made."""
    options = _parsed(arguments)
    results = _read(options.results)
    for cell in sorted(CELLS, key=lambda one: one.tests):  # the slow ones last
        while (done := _sessions(results.get(cell.name))) < _required(cell, options.sessions):
            portion = min(options.portion // cell.tests + 1, _required(cell, options.sessions) - done)
            result = _portion(cell, portion, done)
            earlier = results.get(cell.name)
            results[cell.name] = merged(earlier, result) if earlier else result
            _write(options.results, results.values())
            print(f"{cell.name}: {done + portion} sessions", flush=True)
    return _written(results, options)


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.error_rates", description=__doc__)
    parser.add_argument("--sessions", type=int, default=100_000, help="tests to simulate in each cell")
    parser.add_argument("--portion", type=int, default=20_000, help="tests after which the counts are saved")
    parser.add_argument("--results", type=Path, default=_RESULTS, help="file of the counts")
    parser.add_argument("--page", type=Path, help="page of the documentation to write the tables into")
    return parser.parse_args(arguments)


def _read(path: Path) -> dict[str, CellResult]:
    known = msgspec.json.decode(path.read_bytes(), type=list[CellResult]) if path.exists() else []
    return {result.cell: result for result in known}


def _write(path: Path, results: Iterable[CellResult]) -> None:
    """Write a list of results, one on each line."""
    path.write_bytes(b"[\n" + b",\n".join(map(msgspec.json.encode, results)) + b"\n]\n")


def _sessions(result: CellResult | None) -> int:
    return result.false_alarms.trials if result else 0


def _required(cell: Cell, tests: int) -> int:
    return tests if cell.tests == 1 else max(min(_LEAST_SESSIONS, tests), tests // cell.tests)


def _portion(cell: Cell, sessions: int, done: int) -> CellResult:
    seed = zlib.crc32(f"{cell.name} from {done}".encode())
    return result_of(cell, sessions_judged(cell, cell.rule, sessions=sessions, seed=seed))


def _written(results: dict[str, CellResult], options: argparse.Namespace) -> int:
    trials = options.sessions // 5
    tables = [
        paired_table(results, is_assumed=True),
        paired_table(results, is_assumed=False),
        stored_table({cell: stored_rates(cell, trials=trials) for cell in STORED_CELLS}),
        faster_table({cell: faster_rate(cell, trials=trials // 4) for cell in FASTER_CELLS}),
    ]
    print("\n\n".join(tables))
    if options.page:
        options.page.write_text(page_with(options.page.read_text(encoding="utf-8"), tables), encoding="utf-8")
    broken = [cell.name for cell in CELLS if cell.is_assumed and not results[cell.name].keeps_claims]
    print(f"\nbroken claims: {'; '.join(broken) if broken else 'none'}")
    return int(bool(broken))


if __name__ == "__main__":
    raise SystemExit(main())
