"""Replay real regressions of diffusers: `make history`, or `python -m benchmarks.history.replay --only flux-syncs`.

Each bug runs on the releases before and after its fix, each release in an environment of its own, and one of our
guards judges it. The table says which color was expected and which was seen; the exit code is 1 when any differs.
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

from benchmarks.history.bugs import BUGS, Bug, Color
from benchmarks.history.environments import Cache, InstallError

_ROOT = Path(__file__).parents[2]
_LIMIT_S = 300
_LAST_LINES = 15
_COLUMNS = ("bug", "release", "expected", "seen", "what the guard said")
_COLORS = {"passed": Color.GREEN, "regressed": Color.RED, "missing": Color.RED}


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """What came of one bug on one release.

    Attributes:
        color: the guard's verdict, or how the replay failed.
        said: one line: the guard's headline, or what failed.
        explanation: everything that the guard said.
        figures: the verdict's figures.
        output: the last lines that a replay printed which failed.
    """

    color: Color
    said: str
    explanation: tuple[str, ...] = ()
    figures: Mapping[str, float] = field(default_factory=dict)
    output: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One cell of the history: a bug on a release."""

    bug: Bug
    release: str
    seen: Seen

    @property
    def expected(self) -> Color:
        """The color that the table of bugs promises."""
        return self.bug.expected[self.release]

    @property
    def is_right(self) -> bool:
        """Whether it was seen."""
        return self.seen.color is self.expected

    def cells(self) -> tuple[str, ...]:
        """Return the row as texts."""
        return (self.bug.title, self.release, self.expected, self.seen.color, self.seen.said)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; the exit code is 1 when a color is not the expected one."""
    options = _parser().parse_args(arguments)
    cache = Cache(folder=options.cache.resolve(), progress=_progress)
    rows = []
    for row in replay(options.only or BUGS, cache, limit_s=options.limit):
        _progress(f"{row.bug.name} on {row.release}: {row.seen.color}")
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
    parser.add_argument("--only", type=find_bug, action="append", metavar="NAME", help="a bug; may be given again")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all that was seen there")
    parser.add_argument("--cache", type=Path, default=_ROOT / ".history", help="where environments are kept")
    parser.add_argument("--limit", type=float, default=_LIMIT_S, metavar="SECONDS", help="for each case and release")
    return parser


def find_bug(name: str) -> Bug:
    """Return the bug of that name.

    Raises:
        argparse.ArgumentTypeError: there is none.
    """
    found = next((bug for bug in BUGS if bug.name == name), None)
    if found is None:
        message = f"there is no bug {name!r}; there are: {', '.join(bug.name for bug in BUGS)}"
        raise argparse.ArgumentTypeError(message)
    return found


def replay(bugs: Sequence[Bug], cache: Cache, *, limit_s: float) -> Iterator[Row]:
    """Run each bug on each of its releases, one at a time."""
    for bug in bugs:
        with tempfile.TemporaryDirectory() as folder:
            scratch = Path(folder)
            if bug.accepted_on:
                _run(bug, bug.accepted_on, ("accept", str(scratch / "accepted.json")), cache, scratch, limit_s=limit_s)
            judged = ("judge", str(scratch / "accepted.json")) if bug.accepted_on else ()
            for release in bug.expected:
                yield Row(bug=bug, release=release, seen=_run(bug, release, judged, cache, scratch, limit_s=limit_s))


def _run(  # noqa: PLR0913 - the two paths and the limit are of the run, the rest says what runs
    bug: Bug, release: str, more: Sequence[str], cache: Cache, scratch: Path, *, limit_s: float
) -> Seen:
    verdict = scratch / "verdict.json"
    verdict.unlink(missing_ok=True)
    try:
        layers = cache.layers(release)
    except InstallError as error:
        return Seen(color=Color.NOT_INSTALLED, said=str(error))
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
        return Seen(color=Color.TIMED_OUT, said=f"not done after {limit_s:g} s", output=_last_lines(error.stdout))
    if done.returncode:
        return crashed(done.returncode, done.stdout)
    return read_verdict(verdict.read_text(encoding="utf-8"))


def _environment(layers: Sequence[Path]) -> dict[str, str]:
    quiet = {"HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore", "TRANSFORMERS_VERBOSITY": "error"}
    return os.environ | {"PYTHONPATH": os.pathsep.join(map(str, layers))} | quiet


def crashed(code: int, output: str) -> Seen:
    """Say how a case ended that has no verdict."""
    last = _last_lines(output)
    how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
    last_line = last.rpartition("\n")[2] or "no output"
    return Seen(color=Color.CRASHED, said=f"{how}: {last_line}", output=last)


def read_verdict(text: str) -> Seen:
    """Read what a case wrote about its verdict."""
    verdict: dict[str, Any] = json.loads(text)
    explanation = tuple(verdict["explanation"])
    return Seen(
        color=_COLORS.get(verdict["outcome"], Color.UNPROVEN),
        said=explanation[0].removeprefix("diffopt: ") if explanation else verdict["summary"],
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
    """Return lines about each color that is not the expected one, and one that counts."""
    wrong = [row for row in rows if not row.is_right]
    lines = [line for row in wrong for line in _problem(row)]
    return [*lines, "", f"{len(rows) - len(wrong)} of {len(rows)} as expected"]


def _problem(row: Row) -> list[str]:
    headline = f"{row.bug.name} on {row.release}: {row.expected} expected, {row.seen.color} seen"
    return ["", headline, row.seen.said, *(row.seen.explanation or row.seen.output.splitlines())]


def as_json(rows: Sequence[Row]) -> str:
    """Return everything that was seen, for machines."""
    documents = [
        {
            "bug": row.bug.name,
            "link": row.bug.link,
            "release": row.release,
            "expected": row.expected,
            "seen": row.seen.color,
            "said": row.seen.said,
            "explanation": row.seen.explanation,
            "figures": row.seen.figures,
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
