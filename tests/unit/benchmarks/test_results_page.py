"""The page of results: what it says of files of a GPU, here made up, and what it refuses to show."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from benchmarks.on_gpu.results import REHEARSAL
from benchmarks.results_page import __main__ as results_page
from benchmarks.results_page.__main__ import kept_files, read_figures
from benchmarks.results_page.images import draw_images
from benchmarks.results_page.page import Figures, page
from benchmarks.results_page.reading import FiguresError
from tests.unit.benchmarks.results_page_examples import (
    ALARMS,
    CPU,
    GATES,
    H200,
    LADDER,
    OVERHEAD,
    RECIPES,
    SUITES,
    TABLE,
    timed,
    written,
)

DOCS = Path(__file__).parents[3] / "docs"
MARK = "**A rehearsal on a CPU with the tiny pipelines: nothing in this section is a measurement.**"


THE_REST = "The suites on the GPU, The latency gates against injected slowdowns, How often the paired gate errs."


def shown(tmp_path: Path, command: str, cases: Mapping[str, Mapping[str, Any]], **how: Any) -> list[str]:
    """Return the lines of the page of one file."""
    file = written(tmp_path / f"{command}.json", cases, command=command, **how)
    return page(read_figures({command: file}, is_rehearsal=how.get("is_rehearsal", False)), "results").splitlines()


def row(lines: list[str], *first: str) -> str:
    """Return the only row that begins with these cells; of several the first."""
    start = "".join(f"| {cell} " for cell in first)
    return next(line for line in lines if line.startswith(f"{start}|"))


def test_the_page_in_the_documentation_is_what_the_command_writes() -> None:
    """Nobody changes it by hand, and no change of the program forgets it."""
    assert (DOCS / "results.md").read_text(encoding="utf-8") == page(read_figures(kept_files()), "results")


def test_nothing_measured_is_reported_in_every_section() -> None:
    """With the command that measures it; no figure of ours is there."""
    text = page(read_figures({}), "results")

    assert "**Nothing was measured on a GPU yet.**" in text
    assert text.count("Not measured on a GPU yet. This does it, on the GPU:") == 6
    for command in ("ladder", "table", "overhead", "suites"):
        assert f"$ python -m benchmarks.on_gpu {command} --json {command}.json --budget-seconds " in text
    assert "| level | it adds | article | times the first | of the roofline |\n" in text
    assert "| pipeline | batch | A100 | compiled | gain |\n" in text


def test_the_ladder_beside_the_articles(tmp_path: Path) -> None:
    """Seconds, gains, their ratio and the roofline; what ran out of memory, failed or is missing says so."""
    lines = shown(tmp_path, "ladder", LADDER)

    start = lines.index(
        "| level | it adds | article | times the first | of the roofline | here | times the first | here ÷ article "
        "| of the roofline | compiling | peak memory |"
    )
    assert lines[start + 2 : start + 10] == [
        "| `diffusion-fast-1-fp32` | float32, attention written out | 7.36 s | 1.00 x | 36% | 4.00 s | 1.00 x | 1.00 x "
        "| 21% | - | 8.00 GiB |",
        "| `diffusion-fast-2-bf16` | bfloat16 | 4.63 s | 1.59 x | 29% | 2.00 s | 2.00 x | 1.26 x "
        "| 21% | - | 8.00 GiB |",
        "| `diffusion-fast-3-sdpa` | scaled dot product attention | 3.31 s | 2.22 x | 40% | not measured | - | - "
        "| - | - | - |",
        "| `diffusion-fast-4-compile` | UNet and VAE compiled, channels_last, flags | 2.54 s | 2.90 x | 53% "
        "| OOM after warm-up | - | - | - | - | - |",
        "| `diffusion-fast-5-fuse_qkv` | fused projections, no graph breaks, no syncs | 2.52 s | 2.92 x | 53% "
        "| failed | - | - | - | - | - |",
        "| `diffusion-fast-6-int8` | dynamic int8 quantization | 2.43 s | 3.03 x | 55% | 1.00 s | 4.00 x | 1.32 x "
        "| 42% | 60.0 s | 8.00 GiB |",
        "",
        "All levels together: 3.03 x in the article (7.36 s to 2.43 s); here 4.00 x, at least as much: 1.32 x of it.",
    ]


def test_where_it_was_measured_and_what_is_left(tmp_path: Path) -> None:
    """The machine once, the weights and the missing cases in their section, and every reason at its end."""
    lines = shown(tmp_path, "ladder", LADDER)

    assert (
        "Measured on NVIDIA H200, torch 2.13.0+cu130, cuda 13.0. "
        f"Not measured yet: Steps a second, What watching costs, {THE_REST}" in lines
    )
    assert "Weights: random: HF_HUB_OFFLINE is set." in lines
    assert "2 of 10 cases are left: diffusion-fast-3-sdpa, modern-3-int8." in lines
    assert [line for line in lines if line.startswith("- ")] == [
        "- `diffusion-fast-4-compile`: out of memory: after warm-up",
        "- `diffusion-fast-5-fuse_qkv`: failed: ValueError: no",
        "- `modern-4-fp8`: unavailable: fp8_dynamic needs a GPU of compute capability 8.9 or newer",
    ]


def test_the_levels_of_today(tmp_path: Path) -> None:
    """Beside the article's first level; the best is named, and how far past the article's last it is."""
    lines = shown(tmp_path, "ladder", LADDER)

    start = lines.index("| level | here | times the article's first | of the roofline | compiling | peak memory |")
    assert lines[start + 2 : start + 8] == [
        "| `modern-1-bf16` | 1.60 s | 2.50 x | not known | - | 8.00 GiB |",
        "| `modern-2-compile` | 0.8 s | 5.00 x | 53% | 60.0 s | 8.00 GiB |",
        "| `modern-3-int8` | not measured | - | - | - | - |",
        "| `modern-4-fp8` | not here | - | - | - | - |",
        "",
        "Today's best level is `modern-2-compile`: 5.00 x the article's first one, "
        "1.25 x the article's last level here.",
    ]
    assert "`modern-1-bf16` was timed with another recipe than was counted." in lines


def test_a_ladder_that_gains_less_is_reported(tmp_path: Path) -> None:
    """The target is the article's own total."""
    cases = {"diffusion-fast-1-fp32": timed(4.0), "diffusion-fast-6-int8": timed(2.0)}

    lines = shown(tmp_path, "ladder", cases)

    total = "All levels together: 3.03 x in the article (7.36 s to 2.43 s); here 2.00 x, less: 0.66 x of it."
    assert total in lines
    assert "No level of today has a time beside the article's first one." in lines


def test_without_its_first_level_a_ladder_has_no_gain(tmp_path: Path) -> None:
    """A time is shown, and nothing is divided by what is not there."""
    lines = shown(tmp_path, "ladder", {"diffusion-fast-6-int8": timed(2.0, recipe=RECIPES["diffusion-fast-6-int8"])})

    assert row(lines, "`diffusion-fast-6-int8`").endswith("| 2.00 s | - | - | 21% | - | 8.00 GiB |")
    assert (
        "All levels together: 3.03 x in the article (7.36 s to 2.43 s); here the first or the last level has no time."
        in lines
    )


def test_a_gpu_whose_peaks_are_not_known_has_no_roofline(tmp_path: Path) -> None:
    """It is told which are."""
    lines = shown(tmp_path, "ladder", LADDER, environment=H200 | {"device": "NVIDIA X1"})

    assert row(lines, "`diffusion-fast-2-bf16`").endswith("| 2.00 s | 2.00 x | 1.26 x | not known | - | 8.00 GiB |")
    (told,) = [line for line in lines if line.startswith("Peaks are known for ")]
    assert told.startswith("Peaks are known for nvidia-v100, ")
    assert told.endswith(", not for NVIDIA X1.")


def test_the_table_beside_the_pages(tmp_path: Path) -> None:
    """Steps a second and what compiling gains, here and on the A100; why there is no figure stands in its cell."""
    lines = shown(tmp_path, "table", TABLE)

    assert row(lines, "`sd15`", "1") == (
        "| `sd15` | 1 | 23.13 | 49.74 | 2.15 x | 40.00 | 100.00 | 2.50 x | 1.16 x | 60.0 s |"
    )
    assert row(lines, "`sd15`", "4") == (
        "| `sd15` | 4 | 13.12 | 17.27 | 1.32 x | 20.00 | OOM after warm-up | - | - | - |"
    )
    assert row(lines, "`sd15`", "16") == (
        "| `sd15` | 16 | 3.60 | 4.68 | 1.30 x | throttled | not measured | - | - | - |"
    )
    assert row(lines, "`sdxl`", "16") == (
        "| `sdxl` | 16 | 0.720 | not given | - | not measured | not measured | - | - | - |"
    )
    assert "- `sd15 batch 4 compiled`: out of memory: after warm-up" in lines


def test_what_compiling_gains_on_each_gpu(tmp_path: Path) -> None:
    """Every GPU of the page, and ours behind them."""
    lines = shown(tmp_path, "table", TABLE)
    gains = lines[lines.index("### What compiling gains on each GPU") :]

    assert "| pipeline | batch | A100 | V100 | T4 | RTX 3090 | RTX 4090 | A100, torch 2.0 | here |" in gains
    assert row(gains, "`sd15`", "1") == (
        "| `sd15` | 1 | 2.15 x | 1.16 x | 1.09 x | 1.12 x | 1.19 x | 2.03 x | 2.50 x |"
    )
    assert row(gains, "`sd15-controlnet`", "16") == (
        "| `sd15-controlnet` | 16 | 1.30 x | 1.14 x | OOM after 2nd iteration | 1.13 x | 1.20 x | 1.27 x "
        "| not measured |"
    )
    assert row(gains, "`deepfloyd-if-1`", "4") == (
        "| `deepfloyd-if-1` | 4 | 2.69 x | 1.55 x | 1.32 x | 1.30 x | 1.41 x | failed | not measured |"
    )
    assert row(gains, "`sdxl`", "16") == (
        "| `sdxl` | 16 | not given | not given | OOM | not given | not given | not given | not measured |"
    )


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0.02, "; here 10.00 x (500.00 / 50.00), at least as much: 2.07 x of it."),
        (0.1, "; here 2.00 x (100.00 / 50.00), less: 0.41 x of it."),
        (None, "; here: not measured."),
    ],
    ids=["more", "less", "missing"],
)
def test_the_first_stage_of_if(tmp_path: Path, seconds: float | None, told: str) -> None:
    """The cell that gains the most in the page, 97.34 / 20.12, is told by itself."""
    cases = {"deepfloyd-if-1 batch 1 not compiled": timed(0.2)}
    if seconds is not None:
        cases |= {"deepfloyd-if-1 batch 1 compiled": timed(seconds)}

    lines = shown(tmp_path, "table", cases)

    assert f"Compiling makes IF's first stage 4.84 x as fast on the A100 (97.34 / 20.12){told}" in lines


def test_what_nobody_published_is_shown_as_it_was_printed(tmp_path: Path) -> None:
    """The command's own table."""
    overhead = "\n".join(shown(tmp_path, "overhead", OVERHEAD))
    suites = "\n".join(shown(tmp_path, "suites", SUITES))

    assert "<!-- not run: the figures of a GPU -->\n\n```text\noverhead: NVIDIA H200, torch 2.13.0+cu130, " in overhead
    assert "\nsyncs  " in overhead
    assert "```text\nsuites: NVIDIA H200, torch 2.13.0+cu130, scale tiny\n" in suites
    assert "\nred: suites/test_flux.py::test_no_syncs: 3 syncs in 4 steps\n```" in suites


def test_the_gates_are_shown_with_what_they_said(tmp_path: Path) -> None:
    """One that ended otherwise than expected stands out; of the false alarms each pair of processes has a row."""
    gates = "\n".join(shown(tmp_path, "paired", GATES))
    alarms = "\n".join(shown(tmp_path, "false-alarms", ALARMS))

    assert (
        "\nsame code                                exit code 0, passed  exit code 1, regressed  WRONG  61.00 s\n"
        in gates
    )
    assert "\nsame code: diffopt: the call became 2.0 % slower than at HEAD~1\n" in gates
    assert "\nsame code, pair 1               +1.00%    0.00%   0.1 s       8          0\n" in alarms
    assert "\n2 % injected      0              -           -          -                        100.00%\n" in alarms


def test_files_that_are_kept_are_shown_and_others_may_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So the page in the documentation is written by one short command."""
    monkeypatch.setattr(results_page, "_KEPT", tmp_path)
    written(tmp_path / "ladder.json", LADDER)
    table = written(tmp_path / "other.json", TABLE, command="table")
    out = tmp_path / "page.md"

    assert kept_files() == {"ladder": tmp_path / "ladder.json"}
    assert results_page.main(["--table", str(table), "--out", str(out)]) == 0
    assert f"Not measured yet: What watching costs, {THE_REST}" in out.read_text(encoding="utf-8")


def test_a_page_of_a_rehearsal_is_reported_in_every_section(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also in those of which it has no file; and it has no share of a roofline."""
    file = written(tmp_path / "ladder.json", LADDER, environment=CPU, is_rehearsal=True)
    out = tmp_path / "page.md"

    assert results_page.main(["--ladder", str(file), "--out", str(out), "--rehearsal"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        str(out),
        str(tmp_path / "page-ladder.svg"),
        str(tmp_path / "page-gains.svg"),
    ]
    before, *sections = out.read_text(encoding="utf-8").split("\n## ")
    assert f"**{REHEARSAL.capitalize().replace('cpu', 'CPU')}.**" in before
    assert len(sections) == 8
    assert [section.splitlines()[2] for section in sections] == [MARK] * 8
    assert "A rehearsal is of tiny pipelines, and has no roofline." in sections[0]
    assert "(a rehearsal, measures nothing)" in (tmp_path / "page-ladder.svg").read_text(encoding="utf-8")


def images(folder: Path, figures: Figures) -> list[str]:
    """Draw both, and return what they hold."""
    return [file.read_text(encoding="utf-8") for file in draw_images(figures, folder / "results.md")]


def test_the_images_show_the_figures(tmp_path: Path) -> None:
    """The article's curve and ours, level by level, and every GPU's bars; the same figures give the same bytes."""
    files = {
        "ladder": written(tmp_path / "ladder.json", LADDER),
        "table": written(tmp_path / "table.json", TABLE, command="table"),
    }
    figures = read_figures(files)

    curve, bars = images(tmp_path, figures)

    assert all(f">{label}<" in curve for label in ("3.03", "4.00", "5.00", "the article, nvidia-a100", "NVIDIA H200"))
    assert all(f">{label}<" in bars for label in ("A100", "RTX 4090", "NVIDIA H200", "deepfloyd-if-1", "batch 16"))
    assert images(tmp_path, figures) == [curve, bars]


def test_the_images_of_the_documentation_are_what_the_command_draws(tmp_path: Path) -> None:
    """They say the same; where a line ends may differ in the last digit on another machine."""
    drawn = images(tmp_path, read_figures(kept_files()))
    kept = [(DOCS / f"results-{name}.svg").read_text(encoding="utf-8") for name in ("ladder", "gains")]

    assert [texts(one) for one in kept] == [texts(one) for one in drawn]
    assert "3.03" in texts(kept[0])


def texts(image: str) -> list[str]:
    """Return what an image says."""
    return [line.partition(">")[2].removesuffix("</text>") for line in image.splitlines() if "<text" in line]


def test_without_matplotlib_the_images_say_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no dependency of the package itself."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)

    with pytest.raises(FiguresError) as error:
        draw_images(read_figures({}), tmp_path / "results.md")

    assert str(error.value) == "the page's images need matplotlib: pip install 'pytest-diffopt[test]'"
