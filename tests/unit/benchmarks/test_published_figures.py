"""What others published is what their pages say, and the file of it is read to the letter."""

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
HEADING = "GPU,batch,pipeline,torch 2.0,torch nightly,torch 2.0 compiled,torch nightly compiled"


def cell(gpu: str, batch: int, pipeline: str, torch: Torch, *, is_compiled: bool) -> published.Cell:
    """Return one cell."""
    return TABLE[Place(gpu=gpu, batch=batch, pipeline=pipeline, torch=torch, is_compiled=is_compiled)]


def test_every_cell_of_the_page_is_there() -> None:
    """Three tables of six rows a GPU, five where SDXL was not run; IF has three figures at batch 1."""
    rows = {(place.gpu, place.batch, place.pipeline) for place in TABLE}

    assert Counter(gpu for gpu, _, _ in rows) == {"A100": 20, "V100": 17, "T4": 20, "RTX 3090": 17, "RTX 4090": 20}
    assert len(TABLE) == 4 * len(rows)


def test_what_is_no_figure_is_reported_apart() -> None:
    """As often as it stands on the page; a failed chain counts for each of its stages."""
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
def test_the_figures_add_up(gpu: str, total: float) -> None:
    """The sums were taken from the page by other means: a figure that was copied wrongly would move them."""
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
    """Speeds, a misprint, seconds a step, memory that ran out, what failed and what was not given."""
    assert found == expected


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("A100,1,SD - txt2img,1,2,3", "line 2: it must have 7 cells, got: 6"),
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
            "line 2: a cell must be steps a second, seconds a step, or one of OOM, OOM after warmup, "
            "OOM after 2nd iteration, ❌, -, got: fast",
        ),
        (
            "A100,1,SD - txt2img,1,2,3,4\nA100,1,SD - txt2img,1,2,3,4",
            "line 3: SD - txt2img on A100 at batch 1 stands twice",
        ),
    ],
    ids=["cells", "gpu", "batch", "pipeline", "stages", "figure", "twice"],
)
def test_a_spoilt_table_is_refused(tmp_path: Path, line: str, told: str) -> None:
    """The line, the rule and the value."""
    file = tmp_path / "table.csv"
    file.write_text(f"{HEADING}\n{line}\n", encoding="utf-8")

    with pytest.raises(FiguresError) as error:
        published_table(file)

    assert str(error.value) == f"{file}, {told}"


def test_a_table_of_other_columns_is_refused(tmp_path: Path) -> None:
    """What a column means is said by its heading alone."""
    file = tmp_path / "table.csv"
    file.write_text("GPU,batch\n", encoding="utf-8")

    with pytest.raises(FiguresError) as error:
        published_table(file)

    assert str(error.value) == f"{file}: its first line must be {HEADING}, got: GPU,batch"


def test_the_articles_ladder() -> None:
    """Six levels under the names that our ladder gives them, 3.03 x in all."""
    article = published_times().ladder

    assert [row.seconds for row in article.rows] == [7.36, 4.63, 3.31, 2.54, 2.52, 2.43]
    assert [f"{gain:.2f}" for gain in article.gains().values()] == ["1.00", "1.59", "2.22", "2.90", "2.92", "3.03"]
    assert list(article.gains()) == [
        level.test_id for level in ladder("diffusion-fast", "sdxl", Scale.FULL, on_gpu=True)
    ]
    assert article.gpu in known_gpu_models()


def test_the_smaller_models_and_the_precisions() -> None:
    """As published, in seconds."""
    published_here = published_times()

    assert [row.seconds for row in published_here.distilled.rows] == [6.37, 4.18, 3.83]
    assert [f"{gain:.2f}" for gain in published_here.distilled.gains().values()] == ["1.00", "1.52", "1.66"]
    assert [row.seconds for row in published_here.precision.rows] == [5.27, 4.14, 3.51, 3.41]
