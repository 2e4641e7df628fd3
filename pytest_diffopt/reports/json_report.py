"""`report.json`: the whole ledger, for machines."""

import json
import math
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from pytest_diffopt.environment import capture_environment
from pytest_diffopt.errors import DiffoptError
from pytest_diffopt.ledger import Ledger, to_plain
from pytest_diffopt.options import Settings
from pytest_diffopt.records import Device
from pytest_diffopt.reports.calibration import calibrations

SCHEMA_VERSION = 1


def prepare_folder(folder: Path) -> None:
    """Make the report's folder, before a run that would end without its report.

    Raises:
        DiffoptError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        msg = f"--diffopt-report must name a folder that can be written, got: {folder} ({error.strerror})"
        raise DiffoptError(msg) from error


def write_json_report(folder: Path, ledger: Ledger, settings: Settings) -> Path:
    """Write the ledger and the environment into `report.json`, in a folder that `prepare_folder` made.

    Numbers that JSON cannot hold are written as the texts `inf`, `-inf` and `nan`.
    """
    path = folder / "report.json"
    text = json.dumps(_document(ledger, settings), indent=2, sort_keys=True, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")
    return path


def _document(ledger: Ledger, settings: Settings) -> dict[str, Any]:
    environment = capture_environment(Device.CUDA if settings.use_gpu else Device.CPU)
    return {
        "schema_version": SCHEMA_VERSION,
        "environment": {
            "device": environment.device_name,
            "device_slug": environment.device_slug,
            "versions": dict(environment.versions),
        }
        | _calibration(ledger),
        "scale": settings.scale,
        "counts": {str(outcome): count for outcome, count in ledger.counts().items()},
        "verdicts": _finite(to_plain(ledger.entries)),
        "unjudged": [asdict(test) for test in ledger.unjudged],
    }


def _calibration(ledger: Ledger) -> dict[str, Any]:
    """Return what the paired gate can see on this machine, where this run found that out."""
    found = {entry.nodeid: _finite(dict(entry.verdict.figures)) for entry in calibrations(ledger.entries)}
    return {"calibration": found} if found else {}


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
