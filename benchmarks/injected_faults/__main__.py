"""Inject every fault and list the guards that catch it: `make injected-faults`.

One fault alone: `python -m benchmarks.injected_faults --only NAME`.

The exit code is 1 when fewer are caught than promised, when one could not be tried, or, with `--false-alarms`, when a
right image is called wrong.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.injected_faults import false_alarms, recording, results
from benchmarks.injected_faults.catalogue import BUGS, find_bug
from benchmarks.injected_faults.declaring import InjectedFault
from benchmarks.injected_faults.false_alarms import RightImages
from benchmarks.injected_faults.page import replace_section
from benchmarks.injected_faults.recording import Recorded
from benchmarks.injected_faults.trials import NotCleanError, Workshop

_BUGS_SECTION = "injected faults"
_ALARMS_SECTION = "false alarms"


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says."""
    options = _parser().parse_args(arguments)
    return _count_alarms(options) if options.false_alarms else _inject(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.injected_faults",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", type=find_bug, action="append", metavar="NAME", help="a bug; may be given again")
    parser.add_argument("--false-alarms", action="store_true", help="draw right images instead, and count alarms")
    parser.add_argument("--seeds", type=_positive, default=false_alarms.SEEDS, help="seeds for each prompt of those")
    parser.add_argument(
        "--pipeline",
        action="append",
        choices=list(false_alarms.RECIPES),
        metavar="NAME",
        help="draw those of this pipeline alone; may be given again",
    )
    parser.add_argument(
        "--results",
        type=Path,
        metavar="FILE",
        help="write a line for each bug there once it was tried; bugs that have one, and are not named, are not tried",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all that was seen there")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="renew the tables of this page")
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        message = f"it must be a whole number from 1, got: {text!r}"
        raise argparse.ArgumentTypeError(message)
    return int(text)


def _inject(options: argparse.Namespace) -> int:
    bugs = options.only or BUGS
    known = {} if options.only or not options.results else recording.read(options.results)
    tried = {one.trial.bug.name: one for one in _tried([bug for bug in bugs if bug.name not in known], options.results)}
    recorded = [found for bug in bugs if (found := tried.get(bug.name) or known.get(bug.name))]
    trials = [one.trial for one in recorded]
    measured = recording.measured_lines(recorded)
    print("\n".join([*results.console_table(trials), "", *results.totals(trials), *measured]))
    _keep(options, map(results.as_plain, trials), _BUGS_SECTION, [*measured, *results.markdown(trials)])
    return 0 if results.is_kept(trials) and len(trials) == len(bugs) else 1


def _tried(bugs: Sequence[InjectedFault], kept_in: Path | None = None) -> Iterator[Recorded]:
    """Try the bugs, those of one pipeline after another; one whose clean pipeline is not clean is told and left out."""
    in_turn = sorted(bugs, key=lambda bug: (bug.pipeline, bug.recipe, repr(sorted(bug.inputs.items())), bug.is_timed))
    revision = recording.revision_now()
    with tempfile.TemporaryDirectory(prefix="injected-faults-") as folder, Workshop(Path(folder)) as workshop:
        for number, bug in enumerate(in_turn, start=1):
            start = time.monotonic()
            try:
                trial = workshop.try_out(bug)
            except NotCleanError as error:
                print(f"{number}/{len(in_turn)} {bug.name}: NOT TRIED: {error}", file=sys.stderr, flush=True)
                continue
            one = Recorded(trial=trial, revision=revision, seconds=time.monotonic() - start)
            if kept_in:
                recording.append(kept_in, one)
            caught = ", ".join(trial.caught_by) or "NOT CAUGHT"
            print(f"{number}/{len(in_turn)} {bug.name}: {caught} ({one.seconds:.0f} s)", file=sys.stderr, flush=True)
            yield one


def _count_alarms(options: argparse.Namespace) -> int:
    rows = []
    for row in false_alarms.measure(options.pipeline or list(false_alarms.RECIPES), seeds=options.seeds):
        rows.append(row)
        print(f"{row.pipeline}, {row.recipe}: {row.alarms}", file=sys.stderr, flush=True)
        _keep(options, map(false_alarms.as_plain, rows), _ALARMS_SECTION, _told(rows))  # all takes long: keep what is
    print("\n".join(_told(rows)))
    return 1 if any(row.alarms for row in rows) else 0


def _told(rows: Sequence[RightImages]) -> list[str]:
    return [*false_alarms.totals(rows), "", *false_alarms.table(rows)]


def _keep(options: argparse.Namespace, plain: Iterable[Any], section: str, lines: Sequence[str]) -> None:
    if options.json:
        options.json.write_text(json.dumps(list(plain), indent=2) + "\n", encoding="utf-8")
    if options.markdown:
        replace_section(options.markdown, section, lines)


if __name__ == "__main__":
    sys.exit(main())
