"""Writes trained weights in half precision and their provenance into the package."""

import json
import subprocess
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from safetensors.torch import save_model

from pytest_diffopt.pipelines.tiny import PROVENANCE, WEIGHTS, checksum, provenance
from tools.tiny_training.lesson import Lesson

_FOLDER = Path(str(WEIGHTS))


def ship(name: str, model: Any, *, lesson: Lesson, loss: float, seed: int) -> None:
    """Write a component's weights and their provenance into the package.

    Args:
        name: the component's name.
        model: the trained component.
        lesson: the lesson that trained it.
        loss: the moving average of the loss at the end.
        seed: the seed of the training.
    """
    _FOLDER.mkdir(exist_ok=True)
    path = _FOLDER / f"{name}.safetensors"
    with FileLock(_FOLDER / ".lock"):  # several lessons can finish at the same time
        save_model(model.half(), str(path))
        path.chmod(0o644)  # safetensors creates files that only their owner can read
        record = {
            "sha256": checksum(path.read_bytes()),
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            "script": "tools/train_tiny.py",
            "lesson": lesson.name,
            "revision": _revision(),
            "starts_from": _starting_point(lesson.starts_from),
            "seed": seed,
            "steps": lesson.steps,
            "batch_size": lesson.batch_size,
            "decoder_only": getattr(lesson, "decoder_only", False),
            "loss": round(loss, 5),
            "torch": torch.__version__,
        }
        _add_provenance(name, record)


def _add_provenance(name: str, record: dict[str, Any]) -> None:
    path = _FOLDER / PROVENANCE
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    path.write_text(json.dumps(known | {name: record}, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    provenance.cache_clear()


def _starting_point(name: str) -> dict[str, Any] | None:
    """Return the weights that a lesson started from and their number of steps; None for random weights."""
    if not name:
        return None
    before = provenance()[name]
    return {"lesson": name, "sha256": before["sha256"], "steps": before["steps"]}


def _revision() -> str:
    command = ("git", "describe", "--always", "--dirty", "--abbrev=12")
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=_FOLDER).stdout.strip()  # noqa: S603 - fixed
