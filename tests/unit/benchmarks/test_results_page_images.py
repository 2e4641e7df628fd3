"""Test the images of the page of results."""

import sys
from pathlib import Path

import pytest

from benchmarks.results_page.__main__ import measured_files, read_figures
from benchmarks.results_page.images import draw_images
from benchmarks.results_page.page import Figures
from benchmarks.results_page.reading import FiguresError
from tests.unit.benchmarks.results_page_examples import (
    LADDER,
    TABLE,
    written,
)

DOCS = Path(__file__).parents[3] / "docs"


def images(folder: Path, figures: Figures) -> list[str]:
    """Draw both images, and return their texts."""
    return [file.read_text(encoding="utf-8") for file in draw_images(figures, folder / "results.md")]


def test_images_show_the_figures(tmp_path: Path) -> None:
    """The images have both curves and every GPU's bars, and drawing is reproducible."""
    files = {
        "ladder": written(tmp_path / "ladder.json", LADDER),
        "table": written(tmp_path / "table.json", TABLE, command="table"),
    }
    figures = read_figures(files)

    curve, bars = images(tmp_path, figures)

    assert all(f">{label}<" in curve for label in ("3.03", "4.00", "5.00", "the article, nvidia-a100", "NVIDIA H200"))
    assert all(f">{label}<" in bars for label in ("A100", "RTX 4090", "NVIDIA H200", "deepfloyd-if-1", "batch 16"))
    assert images(tmp_path, figures) == [curve, bars]


def test_docs_images_are_up_to_date(tmp_path: Path) -> None:
    """The texts are equal; coordinates may differ in the last digit on another machine."""
    drawn = images(tmp_path, read_figures(measured_files()))
    kept = [(DOCS / f"results-{name}.svg").read_text(encoding="utf-8") for name in ("ladder", "gains")]

    assert [texts(one) for one in kept] == [texts(one) for one in drawn]
    assert "3.03" in texts(kept[0])


def texts(image: str) -> list[str]:
    """Return the texts in an image."""
    return [line.partition(">")[2].removesuffix("</text>") for line in image.splitlines() if "<text" in line]


def test_images_need_matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """matplotlib is not a dependency of the package; the error has the command that installs it."""  # noqa: D403
    monkeypatch.setitem(sys.modules, "matplotlib", None)

    with pytest.raises(FiguresError) as error:
        draw_images(read_figures({}), tmp_path / "results.md")

    assert str(error.value) == "the page's images need matplotlib: pip install 'pytest-diffopt[test]'"
