"""The JSON file from which a command continues: always complete, and of one machine."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.on_gpu.command import Figures
from pytest_diffopt.baselines.strict_json import JSONProblem, parse
from pytest_diffopt.errors import DiffoptError

REHEARSAL = "rehearsal: tiny pipelines, nothing here is a measurement"
_MEASUREMENT = "measured"


class ResultsError(DiffoptError):
    """A results file cannot be read, written or continued."""


class Results:
    """The results so far, and the attempts that were cut off.

    Args:
        path: the file; created when the first case ends.
        command: name of the command.
        environment: the machine and its versions.
        is_rehearsal: whether the results are from a rehearsal, not a measurement.

    Raises:
        ResultsError: the file exists, but is not of this command on this machine.
    """

    def __init__(self, path: Path, *, command: str, environment: Mapping[str, Any], is_rehearsal: bool) -> None:
        self.cases: dict[str, Figures] = {}
        self.cut_off_seconds: dict[str, list[float]] = {}
        self._path = path
        self._heading: dict[str, Any] = {
            "command": command,
            "kind": REHEARSAL if is_rehearsal else _MEASUREMENT,
            "environment": dict(environment),
        }
        if path.exists():
            self._read()

    @property
    def environment(self) -> Mapping[str, Any]:
        """The machine and its versions."""
        found: Mapping[str, Any] = self._heading["environment"]
        return found

    def keep(self, name: str, figures: Figures) -> None:
        """Add the result of a case, and write the file."""
        self.cases[name] = figures
        self._write()

    def note_cut_off(self, name: str, seconds: float) -> None:
        """Add an attempt that was cut off after `seconds`, and write the file."""
        self.cut_off_seconds.setdefault(name, []).append(round(seconds, 1))
        self._write()

    def forget_failures(self) -> None:
        """Remove the failed cases, so that they are measured again."""
        self.cases = {name: figures for name, figures in self.cases.items() if "failed" not in figures}
        self.cut_off_seconds.clear()

    def _read(self) -> None:
        document = self._document()
        for key, here in self._heading.items():
            if document.get(key) != here:
                msg = (
                    f"{self._path} cannot be continued: {key} must be {_shown(here)}, "
                    f"got: {_shown(document.get(key))}; give another file"
                )
                raise ResultsError(msg)
        self.cases = dict(document["cases"])
        self.cut_off_seconds = dict(document["cut_off_seconds"])

    def _document(self) -> dict[str, Any]:
        try:
            document = parse(self._path.read_bytes())
        except OSError as error:
            msg = f"{self._path} cannot be read: {error.strerror}"
            raise ResultsError(msg) from error
        except JSONProblem as error:
            msg = f"{self._path} is not a results file: {error}; give another file"
            raise ResultsError(msg) from error
        expected = {*self._heading, "cases", "cut_off_seconds"}
        if not isinstance(document, dict) or not expected <= document.keys():
            msg = (
                f"{self._path} is not a results file: it must have the keys {', '.join(sorted(expected))}; "
                "give another file"
            )
            raise ResultsError(msg)
        return document

    def _write(self) -> None:
        """Write a second file and rename it, so that an interrupted run leaves a complete file."""
        document = self._heading | {"cases": self.cases, "cut_off_seconds": self.cut_off_seconds}
        half = self._path.with_name(f"{self._path.name}.{os.getpid()}.half")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            half.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
            half.replace(self._path)
        except OSError as error:
            msg = f"{self._path} cannot be written: {error.strerror}"
            raise ResultsError(msg) from error


def _shown(value: object) -> str:
    return json.dumps(value, sort_keys=True)
