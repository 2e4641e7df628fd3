"""The table of every optimization on every built-in pipeline."""

import json
from pathlib import Path

import pytest

from benchmarks import every_word
from benchmarks.every_word import Outcome, main, table, tried

CELLS = {
    "flux: bf16": {"outcome": "effect", "reason": ""},
    "sdxl: bf16": {"outcome": "effect", "reason": ""},
    "flux: faster_cache": {"outcome": "refused", "reason": "faster_cache needs ..."},
    "sdxl: faster_cache": {"outcome": "not seen", "reason": "diffopt: ..."},
}


def test_each_recipe_has_its_counts_and_the_others_names() -> None:
    """A row for each recipe, in the order in which they were tried."""
    assert list(table(CELLS))[2:] == [
        "| `bf16` | 2 | 0 | 0 | 0 |",
        "| `faster_cache` | 0 | 1: sdxl | 0 | 1: flux |",
    ]


@pytest.mark.parametrize(
    ("recipe", "outcome", "reason"),
    [
        ("bf16", Outcome.EFFECT, ""),
        ("tf32", Outcome.UNSEEN, "diffopt: the effect of 1 optimization cannot be seen in this call"),
        ("first_block_cache", Outcome.REFUSED, "first_block_cache needs a pipeline that opens denoiser.cache_context"),
        ("vae_slicing", Outcome.EFFECT, ""),
    ],
)
def test_a_cell_is_one_call(recipe: str, outcome: Outcome, reason: str) -> None:
    """The reason is the message of what refuses, or of the guard."""
    found, why = tried("bk-sdm-taesd", recipe)

    assert found is outcome
    assert why.startswith(reason)


def test_the_file_is_continued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A cell that is in the file is not tried again."""
    monkeypatch.setattr(every_word, "tried", lambda *_cell: (Outcome.NONE, "diffopt: no effect"))
    file = tmp_path / "cells.json"
    file.write_text(json.dumps({"sdxl: bf16": {"outcome": "effect", "reason": ""}}), encoding="utf-8")
    arguments = ["--pipelines", "sdxl", "--recipes", "bf16", "sdpa", "--json", str(file)]

    assert main(arguments) == 0
    assert capsys.readouterr().out.splitlines()[0] == "sdxl: sdpa: no effect: diffopt: no effect"
    assert json.loads(file.read_text(encoding="utf-8"))["sdxl: bf16"]["outcome"] == "effect"
