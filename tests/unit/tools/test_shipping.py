"""Trained weights are written in half precision, with their provenance and starting point."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from pytest_diffopt.pipelines.tiny import PROVENANCE, checksum
from tools.tiny_training import shipping
from tools.tiny_training.lesson import Lesson, Models


class UntrainedLesson(Lesson):
    """A lesson that is never trained."""

    def loss(self, models: Models, chosen: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Fail: the loss is never computed."""
        raise NotImplementedError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Redirect the weights to a temporary folder."""

    @cache
    def provenance() -> dict[str, dict[str, Any]]:
        known: dict[str, dict[str, Any]] = json.loads((tmp_path / PROVENANCE).read_text(encoding="utf-8"))
        return known

    monkeypatch.setattr(shipping, "_FOLDER", tmp_path)
    monkeypatch.setattr(shipping, "_revision", lambda: "1a2b3c4d5e6f")
    monkeypatch.setattr(shipping, "provenance", provenance)
    return tmp_path


def ship(name: str, *, starts_from: str = "", steps: int = 10) -> None:
    """Write a layer with six parameters."""
    lesson = UntrainedLesson(name=name, starts_from=starts_from, steps=steps)
    shipping.ship(name, torch.nn.Linear(2, 2), lesson=lesson, loss=0.123456, seed=7)


def test_weights_are_float16_with_provenance(folder: Path) -> None:
    """The provenance has the training parameters and the checksum."""
    ship("unet")
    known = json.loads((folder / PROVENANCE).read_text(encoding="utf-8"))["unet"]

    assert {one.dtype for one in load_file(folder / "unet.safetensors").values()} == {torch.float16}
    assert known == {
        "sha256": checksum((folder / "unet.safetensors").read_bytes()),
        "parameters": 6,
        "script": "tools/train_tiny.py",
        "lesson": "unet",
        "decoder_only": False,
        "revision": "1a2b3c4d5e6f",
        "starts_from": None,
        "seed": 7,
        "steps": 10,
        "batch_size": 16,
        "loss": 0.12346,
        "torch": torch.__version__,
    }


def test_provenance_records_the_starting_point(folder: Path) -> None:
    """With `--from-shipped` both have the same name; the checksum is that of the earlier weights."""
    ship("unet")
    first = json.loads((folder / PROVENANCE).read_text(encoding="utf-8"))["unet"]
    ship("unet", starts_from="unet", steps=5)
    second = json.loads((folder / PROVENANCE).read_text(encoding="utf-8"))["unet"]

    assert second["starts_from"] == {"lesson": "unet", "sha256": first["sha256"], "steps": 10}
    assert second["sha256"] != first["sha256"]
