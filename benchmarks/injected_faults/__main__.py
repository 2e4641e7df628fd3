"""Inject every fault and list the guards that catch it: `make injected-faults`.

A single fault: `python -m benchmarks.injected_faults --only NAME`.

The exit code is 1 if less than 95 % are caught, if a fault could not be tried, or, with `--false-alarms`, if a correct
image fails.
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
from benchmarks.injected_faults.catalogue import FAULTS, find_fault
from benchmarks.injected_faults.declaring import InjectedFault
from benchmarks.injected_faults.false_alarms import CorrectImages
from benchmarks.injected_faults.recording import Recorded
from benchmarks.injected_faults.trials import NotCleanError, TrialRunner
from benchmarks.marked_section import replace_section

_FAULTS_SECTION = "injected faults"
_ALARMS_SECTION = "false alarms"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    options = _parser().parse_args(arguments)
    return _count_alarms(options) if options.false_alarms else _inject(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.injected_faults",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", type=find_fault, action="append", metavar="NAME", help="a fault; can be repeated")
    parser.add_argument(
        "--false-alarms", action="store_true", help="generate correct images instead, and count false alarms"
    )
    parser.add_argument(
        "--seeds", type=_positive, default=false_alarms.SEEDS, help="with --false-alarms: seeds for each prompt"
    )
    parser.add_argument(
        "--pipeline",
        action="append",
        choices=list(false_alarms.RECIPES),
        metavar="NAME",
        help="with --false-alarms: only this pipeline; can be repeated",
    )
    parser.add_argument(
        "--results",
        type=Path,
        metavar="FILE",
        help="append a line for each tried fault; without --only, faults that have a line are not tried again",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all results as JSON")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="update the tables of this page")
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        message = f"must be a positive integer, got: {text!r}"
        raise argparse.ArgumentTypeError(message)
    return int(text)


def _inject(options: argparse.Namespace) -> int:
    faults = options.only or FAULTS
    known = {} if options.only or not options.results else recording.read(options.results)
    left = [fault for fault in faults if fault.name not in known]
    tried = {one.trial.fault.name: one for one in _tried(left, options.results)}
    recorded = [found for fault in faults if (found := tried.get(fault.name) or known.get(fault.name))]
    trials = [one.trial for one in recorded]
    measured = recording.measured_lines(recorded)
    print("\n".join([*results.console_table(trials), "", *results.totals(trials), *measured]))
    _keep(options, map(results.as_plain, trials), _FAULTS_SECTION, [*measured, *results.markdown(trials)])
    return 0 if results.passes(trials) and len(trials) == len(faults) else 1


def _tried(faults: Sequence[InjectedFault], results_file: Path | None = None) -> Iterator[Recorded]:
    """Try the faults, grouped by pipeline; report and skip those whose clean pipeline fails a guard."""
    ordered = sorted(
        faults, key=lambda fault: (fault.pipeline, fault.recipe, repr(sorted(fault.inputs.items())), fault.is_timed)
    )
    revision = recording.revision_now()
    with tempfile.TemporaryDirectory(prefix="injected-faults-") as folder, TrialRunner(Path(folder)) as runner:
        for number, fault in enumerate(ordered, start=1):
            start = time.monotonic()
            try:
                trial = runner.run(fault)
            except NotCleanError as error:
                print(f"{number}/{len(ordered)} {fault.name}: NOT TRIED: {error}", file=sys.stderr, flush=True)
                continue
            one = Recorded(trial=trial, revision=revision, seconds=time.monotonic() - start)
            if results_file:
                recording.append(results_file, one)
            caught = ", ".join(trial.caught_by) or "NOT CAUGHT"
            print(f"{number}/{len(ordered)} {fault.name}: {caught} ({one.seconds:.0f} s)", file=sys.stderr, flush=True)
            yield one


def _count_alarms(options: argparse.Namespace) -> int:
    rows = []
    for row in false_alarms.measure(options.pipeline or list(false_alarms.RECIPES), seeds=options.seeds):
        rows.append(row)
        print(f"{row.pipeline}, {row.recipe}: {row.alarms}", file=sys.stderr, flush=True)
        # The whole run takes long, so the results so far are written after each row.
        _keep(options, map(false_alarms.as_plain, rows), _ALARMS_SECTION, _alarm_lines(rows))
    print("\n".join(_alarm_lines(rows)))
    return 1 if any(row.alarms for row in rows) else 0


def _alarm_lines(rows: Sequence[CorrectImages]) -> list[str]:
    return [*false_alarms.totals(rows), "", *false_alarms.table(rows)]


def _keep(options: argparse.Namespace, plain: Iterable[Any], section: str, lines: Sequence[str]) -> None:
    if options.json:
        options.json.write_text(json.dumps(list(plain), indent=2) + "\n", encoding="utf-8")
    if options.markdown:
        replace_section(options.markdown, section, lines)


if __name__ == "__main__":
    sys.exit(main())
