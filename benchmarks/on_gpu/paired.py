"""Run both latency gates as a user does: they must fail for an injected slowdown, and pass for the same code.

The stored gate detects slowdowns above 5 %. A slowdown of exactly 5 % would be detected about half of the time, so 10 %
are injected for it.
"""

import json
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.on_gpu.cells import aligned, seconds, why_none
from benchmarks.on_gpu.command import WRONG, Case, Command, Figures
from benchmarks.on_gpu.gate_call import timed_call, weights_of
from benchmarks.on_gpu.gate_sessions import Ending, GateSessionError, commit, run_session
from benchmarks.on_gpu.setting import Setting

_PASSED = "exit code 0, passed"
_FAILED = "exit code 1, regressed, with its cause"
_SESSIONS = 3
_HEADINGS = ("case", "expected", "actual", "", "duration")
# On a shared CPU the same call takes up to twice as long, so a rehearsal injects and allows more.
_REHEARSED_PAIRED = ("--diffopt-margin=0.1", "--diffopt-max-seconds=30")
_REHEARSED_STORED = ("--diffopt-margin=1",)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Try:
    """One test of a gate.

    Attributes:
        name: readable and unique.
        injected: injected slowdown of the judged code, as a fraction.
        expected: expected result of the last session.
        run: runs the gate.
    """

    name: str
    injected: float
    expected: str
    run: Callable[[Setting, "_Try", Path], Ending]

    @property
    def folder(self) -> str:
        """Name of its report folder."""
        return self.name.replace(" %", "").replace(",", "").replace(" ", "-")


def _tries(setting: Setting) -> tuple[_Try, ...]:
    paired = setting.pick(measured=0.05, rehearsed=0.5)
    stored = setting.pick(measured=0.1, rehearsed=3.0)
    return (
        _Try(name="same code", injected=0.0, expected=_PASSED, run=_against_revision),
        _Try(name=f"injected {100 * paired:.0f} %", injected=paired, expected=_FAILED, run=_against_revision),
        _Try(name="stored, same code", injected=0.0, expected=_PASSED, run=_against_baseline),
        _Try(name=f"stored, injected {100 * stored:.0f} %", injected=stored, expected=_FAILED, run=_against_baseline),
    )


def _cases(setting: Setting) -> list[Case]:
    return [Case(name=one.name, measure=partial(_measure, setting, one)) for one in _tries(setting)]


def _measure(setting: Setting, one: _Try) -> Figures:
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="on-gpu-project-") as folder:
        # Resolved, because git returns the real path of a repository.
        ended = one.run(setting, one, Path(folder).resolve())
    figures = {
        "recipe": timed_call(setting).recipe,
        "weights": weights_of(setting),
        "injected": one.injected,
        "expected": one.expected,
        "actual": str(ended),
        "explanation": list(ended.explanation),
        "seconds": time.monotonic() - start,
        "report": f"{one.folder}/report.json",
    }
    is_right = figures["actual"] == figures["expected"]
    return figures if is_right else figures | {WRONG: f"expected {one.expected}, got {ended}"}


def _against_revision(setting: Setting, one: _Try, folder: Path) -> Ending:
    """Compare the last commit, which has the injected slowdown, with the previous one."""
    call = timed_call(setting)
    for slowdown in (0.0, one.injected):
        commit(folder, call.project(slowdown))
    options = (*call.options, *setting.pick(measured=(), rehearsed=_REHEARSED_PAIRED))
    return run_session(folder, ("--diffopt-against=HEAD~1", *options), report=setting.reports / one.folder)


def _against_baseline(setting: Setting, one: _Try, folder: Path) -> Ending:
    """Compare with a baseline of several sessions of the code without a slowdown."""
    call = timed_call(setting)
    baselines = setting.reports / "baselines"
    rehearsed = setting.pick(measured=(), rehearsed=_REHEARSED_STORED)
    options = (f"--diffopt-baselines={baselines}", *call.options, *rehearsed)
    commit(folder, call.project(0.0))
    for number in range(_sessions_in(baselines), _SESSIONS):
        _accept(folder, options, report=setting.reports / f"session-{number + 1}")
    if _sessions_in(baselines) != _SESSIONS:
        msg = (
            f"{baselines} has {_sessions_in(baselines)} sessions, {_SESSIONS} are required: a session differed by more "
            "than the margin, or the sessions are from another GPU; remove the folder to start from scratch"
        )
        raise GateSessionError(msg)
    commit(folder, call.project(one.injected))
    return run_session(folder, options, report=setting.reports / one.folder)


def _accept(folder: Path, options: tuple[str, ...], *, report: Path) -> None:
    # CI updates are allowed, because this folder is never committed.
    ended = run_session(folder, ("--diffopt-update=all", "--diffopt-allow-ci-update", *options), report=report)
    if str(ended) != _PASSED:
        msg = f"nothing was accepted: {ended}: {ended.explanation[0] if ended.explanation else 'no message'}"
        raise GateSessionError(msg)


def _sessions_in(baselines: Path) -> int:
    """Return the number of sessions in the baseline."""
    documents = [json.loads(path.read_text(encoding="utf-8")) for path in baselines.rglob("*.json")]
    return sum(len(document["sessions"]) for document in documents)


def _table(setting: Setting, seen: Mapping[str, Figures]) -> list[str]:
    tries = _tries(setting)
    messages = [line for one in tries for line in _message(one.name, seen.get(one.name))]
    return [*aligned([_HEADINGS, *(_row(one, seen.get(one.name)) for one in tries)]), *messages]


def _row(one: _Try, figures: Figures | None) -> tuple[str, ...]:
    reason = why_none(figures)
    if figures is None or reason:
        return (one.name, one.expected, reason, "", "")
    return (one.name, one.expected, figures["actual"], "WRONG" if WRONG in figures else "", seconds(figures["seconds"]))


def _message(name: str, figures: Figures | None) -> list[str]:
    """Return the gate's message for a case."""
    if figures is None or why_none(figures):
        return []
    headline, *more = figures["explanation"] or ["no message"]
    return [f"{name}: {headline}", *more]


PAIRED = Command(
    name="paired",
    summary="the paired gate and the stored one against injected slowdowns",
    cases=_cases,
    table=_table,
    least_seconds=90.0,  # both processes of a pair build full-size SDXL, sequentially
)
