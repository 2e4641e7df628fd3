"""Replay real regressions of diffusers: `make history`, or `python -m benchmarks.history.replay --only flux-syncs`.

Each bug runs on the releases before and after its fix, each release in a separate environment, and one of our guards
judges it. The table lists the expected and the actual outcome; the exit code is 1 if any differs.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.history.bugs import BUGS, Bug, ReplayOutcome
from benchmarks.history.environments import Cache, InstallError

_ROOT = Path(__file__).parents[2]
_LIMIT_S = 300
_LAST_LINES = 15
_COLUMNS = ("bug", "release", "expected", "actual", "headline")
_OUTCOMES = {"passed": ReplayOutcome.PASSED, "regressed": ReplayOutcome.FAILED, "missing": ReplayOutcome.FAILED}


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplayResult:
    """The result of one bug on one release.

    Attributes:
        outcome: outcome of the guard, or how the replay failed.
        headline: first line of the guard's message, or of the error.
        explanation: full message of the guard.
        figures: figures of the verdict.
        output: last printed lines of a failed replay.
    """

    outcome: ReplayOutcome
    headline: str
    explanation: tuple[str, ...] = ()
    figures: Mapping[str, float] = field(default_factory=dict)
    output: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One row of the table: a bug on a release."""

    bug: Bug
    release: str
    result: ReplayResult

    @property
    def expected(self) -> ReplayOutcome:
        """The expected outcome."""
        return self.bug.expected[self.release]

    @property
    def is_right(self) -> bool:
        """Whether the outcome is the expected one."""
        return self.result.outcome is self.expected

    def cells(self) -> tuple[str, ...]:
        """Return the cells of the row."""
        return (self.bug.title, self.release, self.expected, self.result.outcome, self.result.headline)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; the exit code is 1 if an outcome is not the expected one."""
    options = _parser().parse_args(arguments)
    cache = Cache(folder=options.cache.resolve(), progress=_progress)
    rows = []
    for row in replay(options.only or BUGS, cache, limit_s=options.limit):
        _progress(f"{row.bug.name} on {row.release}: {row.result.outcome}")
        rows.append(row)
    print("\n".join(table(rows)))
    print("\n".join(problems(rows)))
    if options.json:
        options.json.write_text(as_json(rows), encoding="utf-8")
    return 0 if all(row.is_right for row in rows) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="replay", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", type=find_bug, action="append", metavar="NAME", help="a bug; can be repeated")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all results as JSON")
    parser.add_argument("--cache", type=Path, default=_ROOT / ".history", help="folder of the environments")
    parser.add_argument(
        "--limit", type=float, default=_LIMIT_S, metavar="SECONDS", help="time limit of each case and release"
    )
    return parser


def find_bug(name: str) -> Bug:
    """Return the bug with a name.

    Raises:
        argparse.ArgumentTypeError: no bug has this name.
    """
    found = next((bug for bug in BUGS if bug.name == name), None)
    if found is None:
        message = f"unknown bug {name!r}; known: {', '.join(bug.name for bug in BUGS)}"
        raise argparse.ArgumentTypeError(message)
    return found


def replay(bugs: Sequence[Bug], cache: Cache, *, limit_s: float) -> Iterator[Row]:
    """Run each bug on each of its releases sequentially, and yield the rows."""
    for bug in bugs:
        with tempfile.TemporaryDirectory() as folder:
            scratch = Path(folder)
            if bug.accepted_on:
                _run(bug, bug.accepted_on, ("accept", str(scratch / "accepted.json")), cache, scratch, limit_s=limit_s)
            judge = ("judge", str(scratch / "accepted.json")) if bug.accepted_on else ()
            for release in bug.expected:
                result = _run(bug, release, judge, cache, scratch, limit_s=limit_s)
                yield Row(bug=bug, release=release, result=result)


def _run(  # noqa: PLR0913 - two parameters select the case, the others configure the run
    bug: Bug, release: str, more: Sequence[str], cache: Cache, scratch: Path, *, limit_s: float
) -> ReplayResult:
    verdict = scratch / "verdict.json"
    verdict.unlink(missing_ok=True)
    try:
        layers = cache.layers(release)
    except InstallError as error:
        return ReplayResult(outcome=ReplayOutcome.NOT_INSTALLED, headline=str(error))
    command = [sys.executable, "-m", "benchmarks.history.run_case", release, str(verdict), bug.case, *bug.arguments]
    try:
        done = subprocess.run(
            [*command, *more],
            cwd=_ROOT,
            env=_environment(layers),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=limit_s,
        )
    except subprocess.TimeoutExpired as error:
        return ReplayResult(
            outcome=ReplayOutcome.TIMED_OUT,
            headline=f"not finished after {limit_s:g} s",
            output=_last_lines(error.stdout),
        )
    if done.returncode:
        return crashed(done.returncode, done.stdout)
    return read_verdict(verdict.read_text(encoding="utf-8"))


def _environment(layers: Sequence[Path]) -> dict[str, str]:
    quiet = {"HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore", "TRANSFORMERS_VERBOSITY": "error"}
    return os.environ | {"PYTHONPATH": os.pathsep.join(map(str, layers))} | quiet


def crashed(code: int, output: str) -> ReplayResult:
    """Return the result of a case that ended without a verdict."""
    last = _last_lines(output)
    how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
    last_line = last.rpartition("\n")[2] or "no output"
    return ReplayResult(outcome=ReplayOutcome.CRASHED, headline=f"{how}: {last_line}", output=last)


def read_verdict(text: str) -> ReplayResult:
    """Return the result of a case from its verdict file."""
    verdict: dict[str, Any] = json.loads(text)
    explanation = tuple(verdict["explanation"])
    return ReplayResult(
        outcome=_OUTCOMES.get(verdict["outcome"], ReplayOutcome.UNPROVEN),
        headline=explanation[0].removeprefix("diffopt: ") if explanation else verdict["summary"],
        explanation=explanation,
        figures=verdict["figures"],
    )


def table(rows: Sequence[Row]) -> list[str]:
    """Return the lines of a Markdown table, its columns aligned."""
    texts = [_COLUMNS, *(row.cells() for row in rows)]
    widths = [max(len(text[column]) for text in texts) for column in range(len(_COLUMNS))]
    header, *lines = (_line(text, widths) for text in texts)
    return [header, _line(["-" * width for width in widths], widths), *lines]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "| " + " | ".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)) + " |"


def problems(rows: Sequence[Row]) -> list[str]:
    """Return the lines about each unexpected outcome, and the number of expected outcomes."""
    wrong = [row for row in rows if not row.is_right]
    lines = [line for row in wrong for line in _problem(row)]
    return [*lines, "", f"{len(rows) - len(wrong)} of {len(rows)} as expected"]


def _problem(row: Row) -> list[str]:
    headline = f"{row.bug.name} on {row.release}: expected {row.expected}, got {row.result.outcome}"
    return ["", headline, row.result.headline, *(row.result.explanation or row.result.output.splitlines())]


def as_json(rows: Sequence[Row]) -> str:
    """Return all results as JSON."""
    documents = [
        {
            "bug": row.bug.name,
            "link": row.bug.link,
            "release": row.release,
            "expected": row.expected,
            "actual": row.result.outcome,
            "headline": row.result.headline,
            "explanation": row.result.explanation,
            "figures": row.result.figures,
        }
        for row in rows
    ]
    return json.dumps(documents, indent=2) + "\n"


def _last_lines(output: str | bytes | None) -> str:
    text = output.decode(errors="replace") if isinstance(output, bytes) else output or ""
    return "\n".join(text.strip().splitlines()[-_LAST_LINES:])


def _progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
