"""Test that the published figures equal those of their pages, and that their files are read strictly."""

from collections import Counter
from pathlib import Path

import pytest

from benchmarks.results_page import published_table as published
from benchmarks.results_page.published_table import NoFigure, Place, Torch, published_table
from benchmarks.results_page.published_times import published_times
from benchmarks.results_page.reading import FiguresError
from pytest_diffopt.pipelines.scale import Scale
from pytest_diffopt.recipes.ladders import ladder
from pytest_diffopt.simulated_gpu.cost.gpus import known_gpu_models

TABLE = published_table()
HEADING = "card,batch,pipeline,torch 2.0,torch nightly,torch 2.0 compiled,torch nightly compiled"


def cell(gpu: str, batch: int, pipeline: str, torch: Torch, *, is_compiled: bool) -> published.Cell:
    """Return one cell of the table."""
    return TABLE[Place(gpu=gpu, batch=batch, pipeline=pipeline, torch=torch, is_compiled=is_compiled)]


def test_table_is_complete() -> None:
    """Each GPU has three tables of six rows, or five without SDXL; IF has three figures with batch 1."""
    rows = {(place.gpu, place.batch, place.pipeline) for place in TABLE}

    assert Counter(gpu for gpu, _, _ in rows) == {"A100": 20, "V100": 17, "T4": 20, "RTX 3090": 17, "RTX 4090": 20}
    assert len(TABLE) == 4 * len(rows)


def test_cells_without_figures() -> None:
    """The numbers of cells without figures equal the page's; a failed chain counts for each of its stages."""
    assert Counter(one for one in TABLE.values() if isinstance(one, NoFigure)) == {
        NoFigure.OUT_OF_MEMORY: 2,
        NoFigure.AFTER_WARMUP: 4,
        NoFigure.AFTER_SECOND: 4,
        NoFigure.FAILED: 5 * (3 + 1 + 1),
        NoFigure.NOT_GIVEN: 18,
    }


@pytest.mark.parametrize(
    ("gpu", "total"),
    [("A100", 1282.01), ("V100", 723.71), ("T4", 291.89), ("RTX 3090", 832.36), ("RTX 4090", 1716.38)],
)
def test_sums_of_figures(gpu: str, total: float) -> None:
    """The sums were computed from the page independently, so they detect copying errors."""
    figures = [one for place, one in TABLE.items() if place.gpu == gpu and not isinstance(one, NoFigure)]

    assert sum(figures) == pytest.approx(total, abs=5e-4)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (cell("A100", 1, "sd15", Torch.STABLE, is_compiled=True), 44.03),
        (cell("A100", 1, "sd15", Torch.NIGHTLY, is_compiled=False), 23.13),
        (cell("A100", 1, "deepfloyd-if-1", Torch.NIGHTLY, is_compiled=False), 20.12),
        (cell("A100", 1, "deepfloyd-if-1", Torch.NIGHTLY, is_compiled=True), 97.34),
        (cell("A100", 1, "deepfloyd-if-3", Torch.NIGHTLY, is_compiled=True), 111.66),
        (cell("A100", 4, "deepfloyd-if-1", Torch.STABLE, is_compiled=True), NoFigure.FAILED),
        (cell("A100", 16, "sdxl", Torch.NIGHTLY, is_compiled=False), 0.72),
        (cell("A100", 16, "sdxl", Torch.NIGHTLY, is_compiled=True), NoFigure.NOT_GIVEN),
        (cell("V100", 16, "sd15-controlnet", Torch.STABLE, is_compiled=True), NoFigure.AFTER_WARMUP),
        (cell("T4", 16, "sd15", Torch.NIGHTLY, is_compiled=True), 1 / 1.99),
        (cell("T4", 16, "sd15-inpaint", Torch.STABLE, is_compiled=True), NoFigure.AFTER_SECOND),
        (cell("T4", 16, "deepfloyd-if-1", Torch.NIGHTLY, is_compiled=True), 1.94),
        (cell("T4", 16, "sdxl", Torch.STABLE, is_compiled=False), NoFigure.OUT_OF_MEMORY),
        (cell("RTX 3090", 1, "deepfloyd-if-2", Torch.STABLE, is_compiled=False), 9.07),
        (cell("RTX 4090", 4, "sd15-img2img", Torch.NIGHTLY, is_compiled=False), 12.79),
        (cell("RTX 4090", 16, "sd15-controlnet", Torch.NIGHTLY, is_compiled=True), 2.75),
    ],
)
def test_cells_read_by_hand(found: published.Cell, expected: published.Cell) -> None:
    """The cells include speeds, a misprint, seconds per step, out of memory, failures and cells not given."""
    assert found == expected


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("A100,1,SD - txt2img,1,2,3", "line 2: must have 7 cells, got: 6"),
        (
            "H100,1,SD - txt2img,1,2,3,4",
            "line 2: the GPU must be one of A100, V100, T4, RTX 3090, RTX 4090, got: H100",
        ),
        ("A100,2,SD - txt2img,1,2,3,4", "line 2: the batch must be one of 1, 4, 16, got: 2"),
        (
            "A100,1,SD,1,2,3,4",
            "line 2: the pipeline must be one of SD - txt2img, SD - img2img, SD - inpaint, SD - controlnet, IF, "
            "SDXL - txt2img, got: SD",
        ),
        ("A100,1,IF,1 / 2,2,3,4", "line 2: a cell must have 3 figures, got: 1 / 2"),
        (
            "A100,1,SD - txt2img,1,2,3,fast",
            "line 2: a cell must be steps per second, seconds per step, or one of OOM, OOM after warmup, "
            "OOM after 2nd iteration, ❌, -, got: fast",
        ),
        (
            "A100,1,SD - txt2img,1,2,3,4\nA100,1,SD - txt2img,1,2,3,4",
            "line 3: duplicate row: SD - txt2img on A100 with batch 1",
        ),
    ],
    ids=["cells", "gpu", "batch", "pipeline", "stages", "figure", "twice"],
)
def test_invalid_table_is_refused(tmp_path: Path, line: str, message: str) -> None:
    """The message has the line, the rule and the value."""
    file = tmp_path / "table.csv"
    file.write_text(f"{HEADING}\n{line}\n", encoding="utf-8")

    with pytest.raises(FiguresError) as error:
        published_table(file)

    assert str(error.value) == f"{file}, {message}"


def test_table_with_other_columns_is_refused(tmp_path: Path) -> None:
    """The first line must have the expected column names."""
    file = tmp_path / "table.csv"
    file.write_text("card,batch\n", encoding="utf-8")

    with pytest.raises(FiguresError) as error:
        published_table(file)

    assert str(error.value) == f"{file}: the first line must be {HEADING}, got: card,batch"


def test_ladder_of_the_article() -> None:
    """The article's six levels have the names of our ladder, and a total speedup of 3.03 x."""
    article = published_times().ladder

    assert [row.seconds for row in article.rows] == [7.36, 4.63, 3.31, 2.54, 2.52, 2.43]
    assert [f"{gain:.2f}" for gain in article.gains().values()] == ["1.00", "1.59", "2.22", "2.90", "2.92", "3.03"]
    assert list(article.gains()) == [
        level.test_id for level in ladder("diffusion-fast", "sdxl", Scale.FULL, on_gpu=True)
    ]
    assert article.gpu in known_gpu_models()


def test_distilled_models_and_precisions() -> None:
    """The times in seconds equal the published ones."""
    published_here = published_times()

    assert [row.seconds for row in published_here.distilled.rows] == [6.37, 4.18, 3.83]
    assert [f"{gain:.2f}" for gain in published_here.distilled.gains().values()] == ["1.00", "1.52", "1.66"]
    assert [row.seconds for row in published_here.precision.rows] == [5.27, 4.14, 3.51, 3.41]
