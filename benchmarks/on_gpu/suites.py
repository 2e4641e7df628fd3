"""Run the tiny regression suite on the GPU file by file, each with its report, or update its baselines."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.on_gpu.cells import aligned, why_none
from benchmarks.on_gpu.command import Case, Command, Figures
from benchmarks.on_gpu.setting import Setting

_ROOT = Path(__file__).parents[2]
_HEADINGS = ("file", "verdicts", "skipped", "failed or broken")
# pytest's exit codes for passed, failed, and no tests collected (all tests of a file are slow).
_RAN = (0, 1, 5)
_REHEARSED = ("test_sdxl_taesd",)
# An improvement of these fails until it is accepted.
_EXACT_CONCERNS = ("counts", "compilation")


def _cases(setting: Setting) -> list[Case]:
    return [Case(name=name, measure=partial(_measure, setting, name, ())) for name in _files(setting)]


def _accepting_cases(setting: Setting) -> list[Case]:
    """Return a case for each file that adds a session to its baselines."""
    # Baselines of a rehearsal are not for the repository.
    elsewhere = (f"--diffopt-baselines={setting.reports / 'baselines'}",) if setting.is_rehearsal else ()
    options = ("--diffopt-update=all", "--diffopt-allow-ci-update", *elsewhere)
    return [Case(name=name, measure=partial(_measure, setting, name, options)) for name in _files(setting)]


def _files(setting: Setting) -> tuple[str, ...]:
    files = tuple(path.stem for path in sorted((_ROOT / "suites").glob("test_*.py")))
    return setting.pick(measured=files, rehearsed=_REHEARSED)


def _measure(setting: Setting, name: str, options: Sequence[str]) -> Figures:
    folder = setting.reports / name
    line = [sys.executable, "-m", "pytest", f"suites/{name}.py", "-m", "not slow", "--diffopt-report", str(folder)]
    where = ["--gpu"] if setting.device.is_gpu else []
    code = subprocess.run([*line, *where, *options], cwd=_ROOT, check=False).returncode
    if code not in _RAN:
        return {"failed": f"pytest exited with code {code}"}
    report: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return {
        "report": f"{folder.name}/report.json",
        "exit_code": code,
        "verdicts": report["counts"],
        "skipped": len(report["skipped"]),
        "failures": [
            f"{one['nodeid']}: {one['verdict']['summary']}" for one in report["verdicts"] if _is_listed(one["verdict"])
        ],
        "broken": [f"{one['nodeid']}: {one['reason']}" for one in report["broken"]],
    }


def _is_listed(verdict: Mapping[str, Any]) -> bool:
    """Return whether a verdict fails for another reason than a missing baseline, which is expected on a new GPU."""
    is_unaccepted_gain = verdict["outcome"] == "improved" and verdict["concern"] in _EXACT_CONCERNS
    return verdict["outcome"] == "regressed" or is_unaccepted_gain


def _table(setting: Setting, seen: Mapping[str, Figures]) -> list[str]:
    names = _files(setting)
    failed = [line for one in seen.values() for line in (*one.get("failures", ()), *one.get("broken", ()))]
    rows = [_HEADINGS, *(_row(name, seen.get(name)) for name in names)]
    return [*aligned(rows), *(f"failed: {line}" for line in failed)]


def _row(name: str, figures: Figures | None) -> tuple[str, ...]:
    reason = why_none(figures)
    if figures is None or reason:
        return (name, reason, "", "")
    verdicts = ", ".join(f"{number} {outcome}" for outcome, number in figures["verdicts"].items()) or "none"
    return (name, verdicts, str(figures["skipped"]), str(len(figures["failures"]) + len(figures["broken"])))


SUITES = Command(
    name="suites",
    summary="pytest suites --gpu, tiny, file by file",
    cases=_cases,
    table=_table,
    is_always_tiny=True,
)
#: Each JSON file of this command corresponds to one session in `baselines/`.
BASELINES = Command(
    name="baselines",
    summary="one session of the GPU's baselines: pytest suites --gpu --diffopt-update all",
    cases=_accepting_cases,
    table=_table,
    is_always_tiny=True,
)
