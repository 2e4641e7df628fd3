"""Test the page of results with example results files: its tables, sections and images."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from benchmarks.on_gpu.results import REHEARSAL
from benchmarks.results_page import __main__ as results_page
from benchmarks.results_page.__main__ import measured_files, read_figures
from benchmarks.results_page.page import page
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
MARK = "**Rehearsal on a CPU with tiny pipelines: nothing in this section is a measurement.**"
THE_REST = "The suites on the GPU, The latency gates with injected slowdowns, False alarms of the paired gate."


def shown(tmp_path: Path, command: str, cases: Mapping[str, Mapping[str, Any]], **how: Any) -> list[str]:
    """Return the lines of a page with one results file."""
    file = written(tmp_path / f"{command}.json", cases, command=command, **how)
    return page(read_figures({command: file}, is_rehearsal=how.get("is_rehearsal", False)), "results").splitlines()


def row(lines: list[str], *first: str) -> str:
    """Return the first row that starts with these cells."""
    start = "".join(f"| {cell} " for cell in first)
    return next(line for line in lines if line.startswith(f"{start}|"))


def test_docs_page_is_up_to_date() -> None:
    """The page in the docs equals the output of the command."""
    assert (DOCS / "results.md").read_text(encoding="utf-8") == page(read_figures(measured_files()), "results")


def test_sections_without_measurement_have_the_command() -> None:
    """Each section without a results file has the command that measures it, and only published figures."""
    text = page(read_figures({}), "results")

    assert "**Nothing was measured on a GPU yet.**" in text
    assert text.count("Not measured on a GPU yet. Run on the GPU:") == 6
    for command in ("ladder", "table", "overhead", "suites"):
        assert f"$ python -m benchmarks.on_gpu {command} --json {command}.json --budget-seconds " in text
    assert "| level | adds | article | speedup | roofline share |\n" in text
    assert "| pipeline | batch | A100 | compiled | speedup |\n" in text


def test_ladder_is_compared_with_article(tmp_path: Path) -> None:
    """A row has times, speedups, their ratio and the roofline share, or the reason why there are none."""
    lines = shown(tmp_path, "ladder", LADDER)

    start = lines.index(
        "| level | adds | article | speedup | roofline share | here | speedup | here ÷ article "
        "| roofline share | compile time | peak memory |"
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
        "All levels together: 3.03 x in the article (7.36 s to 2.43 s); here 4.00 x, which is 1.32 x the article's.",
    ]


def test_machine_weights_and_missing_cases_are_listed(tmp_path: Path) -> None:
    """The page has the machine once; a section has its weights, its missing cases, and at its end the reasons."""
    lines = shown(tmp_path, "ladder", LADDER)

    assert (
        "Measured on NVIDIA H200, torch 2.13.0+cu130, cuda 13.0. "
        f"Not measured yet: Denoise steps per second, Overhead of the probes, {THE_REST}" in lines
    )
    assert "Weights: random: HF_HUB_OFFLINE is set." in lines
    assert "2 of 10 cases are not measured yet: diffusion-fast-3-sdpa, modern-3-int8." in lines
    assert [line for line in lines if line.startswith("- ")] == [
        "- `diffusion-fast-4-compile`: out of memory: after warm-up",
        "- `diffusion-fast-5-fuse_qkv`: failed: ValueError: no",
        "- `modern-4-fp8`: unavailable: fp8_dynamic needs a GPU of compute capability 8.9 or newer",
    ]


def test_modern_levels(tmp_path: Path) -> None:
    """Speedups are over the article's first level; the fastest level is also compared with the article's last."""
    lines = shown(tmp_path, "ladder", LADDER)

    start = lines.index("| level | here | speedup | roofline share | compile time | peak memory |")
    assert lines[start + 2 : start + 8] == [
        "| `modern-1-bf16` | 1.60 s | 2.50 x | unknown | - | 8.00 GiB |",
        "| `modern-2-compile` | 0.8 s | 5.00 x | 53% | 60.0 s | 8.00 GiB |",
        "| `modern-3-int8` | not measured | - | - | - | - |",
        "| `modern-4-fp8` | unavailable | - | - | - | - |",
        "",
        "The fastest modern level is `modern-2-compile`: 5.00 x over the article's first level here, "
        "1.25 x over its last level.",
    ]
    assert "`modern-1-bf16` was timed with a different recipe than counted." in lines


def test_smaller_speedup_than_article(tmp_path: Path) -> None:
    """A smaller total speedup than the article's is shown as a ratio below 1."""
    cases = {"diffusion-fast-1-fp32": timed(4.0), "diffusion-fast-6-int8": timed(2.0)}

    lines = shown(tmp_path, "ladder", cases)

    total = "All levels together: 3.03 x in the article (7.36 s to 2.43 s); here 2.00 x, which is 0.66 x the article's."
    assert total in lines
    assert "No modern level has a speedup over the article's first level." in lines


def test_no_speedup_without_first_level(tmp_path: Path) -> None:
    """Without a time of the first level, times are shown without speedups."""
    lines = shown(tmp_path, "ladder", {"diffusion-fast-6-int8": timed(2.0, recipe=RECIPES["diffusion-fast-6-int8"])})

    assert row(lines, "`diffusion-fast-6-int8`").endswith("| 2.00 s | - | - | 21% | - | 8.00 GiB |")
    assert (
        "All levels together: 3.03 x in the article (7.36 s to 2.43 s); here the first or the last level has no time."
        in lines
    )


def test_unknown_gpu_has_no_roofline(tmp_path: Path) -> None:
    """The page lists the GPUs with known peaks."""
    lines = shown(tmp_path, "ladder", LADDER, environment=H200 | {"device": "NVIDIA X1"})

    assert row(lines, "`diffusion-fast-2-bf16`").endswith("| 2.00 s | 2.00 x | 1.26 x | unknown | - | 8.00 GiB |")
    (reason,) = [line for line in lines if line.startswith("No roofline: ")]
    assert reason.startswith("No roofline: the peaks of NVIDIA X1 are unknown; known: nvidia-v100, ")


def test_table_is_compared_with_a100(tmp_path: Path) -> None:
    """A row has steps per second and speedups here and on the A100, or the reason why there are none."""
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


def test_speedup_by_compilation_on_each_gpu(tmp_path: Path) -> None:
    """The table has every GPU of the page, followed by ours."""
    lines = shown(tmp_path, "table", TABLE)
    gains = lines[lines.index("### Speedup by compilation on each GPU") :]

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
    ("seconds", "comparison"),
    [
        (0.02, "; here 10.00 x (500.00 / 50.00), which is 2.07 x the A100's."),
        (0.1, "; here 2.00 x (100.00 / 50.00), which is 0.41 x the A100's."),
        (None, "; here: not measured."),
    ],
    ids=["more", "less", "missing"],
)
def test_first_stage_of_if(tmp_path: Path, seconds: float | None, comparison: str) -> None:
    """The cell with the largest published speedup, 97.34 / 20.12, has its own sentence."""
    cases = {"deepfloyd-if-1 batch 1 not compiled": timed(0.2)}
    if seconds is not None:
        cases |= {"deepfloyd-if-1 batch 1 compiled": timed(seconds)}

    lines = shown(tmp_path, "table", cases)

    assert f"Compilation speeds up IF's first stage by 4.84 x on the A100 (97.34 / 20.12){comparison}" in lines


def test_unpublished_sections_show_the_commands_table(tmp_path: Path) -> None:
    """Sections without published figures have the table as the command prints it."""
    overhead = "\n".join(shown(tmp_path, "overhead", OVERHEAD))
    suites = "\n".join(shown(tmp_path, "suites", SUITES))

    assert "<!-- not run: the figures of a GPU -->\n\n```text\noverhead: NVIDIA H200, torch 2.13.0+cu130, " in overhead
    assert "\nsyncs  " in overhead
    assert "```text\nsuites: NVIDIA H200, torch 2.13.0+cu130, scale tiny\n" in suites
    assert "\nfailed: suites/test_flux.py::test_no_syncs: 3 syncs in 4 steps\n```" in suites


def test_gates_and_false_alarms_are_shown(tmp_path: Path) -> None:
    """An unexpected result is marked, and each pair of processes has a row."""
    gates = "\n".join(shown(tmp_path, "paired", GATES))
    alarms = "\n".join(shown(tmp_path, "false-alarms", ALARMS))

    assert (
        "\nsame code                                 exit code 0, passed  exit code 1, regressed  WRONG   61.00 s\n"
        in gates
    )
    assert "\nsame code: diffopt: the call became 2.0 % slower than at HEAD~1\n" in gates
    assert "\nsame code, pair 1             +1.00%  0.00%  0.1 s       8          0\n" in alarms
    injected = next(line for line in alarms.splitlines() if line.startswith("2 % injected "))
    assert injected.split() == ["2", "%", "injected", "0", "-", "-", "-", "-"]


def test_default_files_and_options_are_combined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page shows the files of the default folder, and files given by options."""
    monkeypatch.setattr(results_page, "_MEASURED_FOLDER", tmp_path)
    written(tmp_path / "ladder.json", LADDER)
    table = written(tmp_path / "other.json", TABLE, command="table")
    out = tmp_path / "page.md"

    assert measured_files() == {"ladder": tmp_path / "ladder.json"}
    assert results_page.main(["--table", str(table), "--out", str(out)]) == 0
    assert f"Not measured yet: Overhead of the probes, {THE_REST}" in out.read_text(encoding="utf-8")


def test_every_section_of_a_rehearsal_is_marked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Sections without a file are marked too, and there is no roofline share."""
    file = written(tmp_path / "ladder.json", LADDER, environment=CPU, is_rehearsal=True)
    out = tmp_path / "page.md"

    assert results_page.main(["--ladder", str(file), "--out", str(out), "--rehearsal"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        str(out),
        str(tmp_path / "page-ladder.svg"),
        str(tmp_path / "page-gains.svg"),
    ]
    before, *sections = out.read_text(encoding="utf-8").split("\n## ")
    assert f"**{REHEARSAL.capitalize()}.**" in before
    assert len(sections) == 8
    assert [section.splitlines()[2] for section in sections] == [MARK] * 8
    assert "A rehearsal runs tiny pipelines, for which no roofline is computed." in sections[0]
    assert "(rehearsal, not measured)" in (tmp_path / "page-ladder.svg").read_text(encoding="utf-8")
