"""`python -m pytest_diffopt merge DIR... --into DIR` merges several reports, or prints an error."""

import json
import shutil
from pathlib import Path

import pytest

from pytest_diffopt.__main__ import main
from pytest_diffopt.reports.json_report import read_json_report
from pytest_diffopt.reports.page.rendering import render
from tests.unit.reports.merging.shard_examples import written
from tests.unit.reports.report_examples import (
    BROKEN,
    ON_GPU,
    SDXL,
    SKIPPED,
    clean,
    draw_images,
    images,
    ratio,
    syncs,
)

GOOD = clean(SDXL, ON_GPU)


@pytest.fixture
def shards(tmp_path: Path) -> list[str]:
    """Write the reports of two GPUs in which the same image regressed, each with its own image files."""
    folders = [tmp_path / "in" / name for name in ("h200", "l4")]
    for number, folder in enumerate(folders):
        folder.mkdir(parents=True)
        files = draw_images(folder, noise=0.01 * number)
        written(folder, [images(files=[files]), *GOOD[1:]], torch=f"2.{12 + number}.0", skipped=SKIPPED)
    return [str(folder) for folder in folders]


def merge(*arguments: str | Path) -> int:
    """Run the command."""
    return main(["merge", *map(str, arguments)])


def test_the_page_distinguishes_the_gpus(shards: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It has verdicts, images, skipped tests and versions of both; the exit code is that of a failed run."""
    into = tmp_path / "merged"

    assert merge(*shards, "--into", into) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"regressed  images  sdxl (tiny)  {SDXL.recipe}  SSIM 0.6173, PSNR 14.2 dB, FLIP 0.3400  H200",
        f"regressed  images  sdxl (tiny)  {SDXL.recipe}  SSIM 0.6173, PSNR 14.2 dB, FLIP 0.3400  L4",
        "2 shards merged, 22 verdicts: 20 passed, 2 regressed",
        "versions differ: torch 2.12.0 (h200), 2.13.0 (l4)",
        str(into / "index.html"),
    ]
    page = (into / "index.html").read_text(encoding="utf-8")
    assert sorted(path.name for path in into.iterdir()) == ["images", "index.html", "report.json", "summary.md"]
    assert "on H200 and L4 · torch 2.12.0 and 2.13.0 · diffusers 0.42.1</span>" in page
    assert '<th scope="row">sdxl (tiny), H200</th>' in page
    assert '<th scope="row">sdxl (tiny), L4</th>' in page
    assert "<li>torch 2.12.0 (h200), 2.13.0 (l4)</li>" in page
    assert '<code>suites/test_sd15.py::test_latency[sd15-bf16]</code> <span class="subject">H200</span>' in page
    assert page == render(read_json_report(into), into)


def test_each_shard_keeps_its_own_images(shards: list[str], tmp_path: Path) -> None:
    """Files of equal names from two machines do not overwrite each other."""
    merge(*shards, "--into", tmp_path / "merged")
    report = json.loads((tmp_path / "merged/report.json").read_text(encoding="utf-8"))
    files = [entry["record"]["differences"][0]["files"]["image"] for entry in report["verdicts"][::11]]

    assert files == ["images/h200/sdxl/image.png", "images/l4/sdxl/image.png"]
    for name, shard in zip(files, shards, strict=True):
        assert (tmp_path / "merged" / name).read_bytes() == (Path(shard) / "images/sdxl/image.png").read_bytes()


def test_the_summary_has_a_column_of_gpus(shards: list[str], tmp_path: Path) -> None:
    """It also has a row for each shard."""
    merge(*shards, "--into", tmp_path / "merged", "--expect", "3")
    text = (tmp_path / "merged/summary.md").read_text(encoding="utf-8")

    assert text.startswith("## diffopt: failed\n\n22 verdicts&#58; 20 passed, 2 regressed\n\nH200 and L4 · torch ")
    assert "- --expect asks for 3 shards, got&#58; 2 (h200, l4)\n" in text
    assert "|  | concern | pipeline | GPU | recipe | old -&gt; new | test |" in text
    assert "| **regressed** | images | <code>sdxl (tiny)</code> | L4 | " in text
    assert "| shard | GPU | verdicts | failed | broken tests | skipped tests |" in text
    assert "| <code>l4</code> | L4 | 11 | 1 | 0 | 3 |" in text
    assert "Versions differ: torch 2.12.0 (h200), 2.13.0 (l4)" in text


def test_a_broken_test_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It has no verdict; the line shows its shard and its reason."""
    folders = [written(tmp_path / "h200", GOOD, broken=[BROKEN]), written(tmp_path / "l4", GOOD)]

    assert merge(*folders, "--into", tmp_path / "merged") == 1
    assert capsys.readouterr().out.splitlines()[:2] == [
        "failed without a verdict: suites/test_flux.py::test_image[flux-bf16] (h200): OSError: no weights here",
        "2 shards merged, 22 verdicts: 22 passed",
    ]


def test_passed_shards_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The expected number of shards and the required verdicts are present."""
    folders = [written(tmp_path / name, GOOD) for name in ("h200", "l4")]

    assert merge(*folders, "--into", tmp_path / "merged", "--expect=2", "--require=gpu>=4") == 0
    assert capsys.readouterr().out.splitlines()[0] == "2 shards merged, 22 verdicts: 22 passed"


@pytest.mark.parametrize(
    ("expectation", "line"),
    [
        ("--expect=3", "not proven: --expect asks for 3 shards, got: 2 (h200, l4)"),
        ("--require=gpu>=20", "not proven: --require asks for gpu>=20, got: 4 verdicts"),
    ],
)
def test_an_unmet_expectation_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], expectation: str, line: str
) -> None:
    """The terminal and the page show it."""
    folders = [written(tmp_path / name, GOOD) for name in ("h200", "l4")]

    assert merge(*folders, "--into", tmp_path / "merged", expectation) == 1
    assert line in capsys.readouterr().out.splitlines()
    assert "A requirement was not met" in (tmp_path / "merged/index.html").read_text(encoding="utf-8")


def test_an_empty_shard_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It fails even if the other shard passed."""
    folders = [written(tmp_path / "h200", GOOD), written(tmp_path / "l4", [], skipped=SKIPPED)]

    assert merge(*folders, "--into", tmp_path / "merged") == 1
    assert (
        "not proven: l4 proved nothing: 3 tests skipped (3x needs a GPU: run with --diffopt-gpu)"
        in capsys.readouterr().out.splitlines()
    )


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        (
            ["{h200}", "{empty}", "--into", "{merged}"],
            [
                "error: the report {empty}/report.json cannot be read: No such file or directory",
                "  name the folder that --diffopt-report wrote",
            ],
        ),
        (
            ["{h200}", "{l4}", "--into", "{l4}"],
            ["error: --into must not name a folder that is merged, got: {l4}"],
        ),
        (
            ["{h200}", "--into", "{in}"],
            ["error: --into must name a new or an empty folder, got: {in} (it contains 'h200')"],
        ),
        (
            ["{h200}", "--into", "{h200}/report.json"],
            ["error: --into must name a folder that can be written, got: {h200}/report.json (Not a directory)"],
        ),
        (
            ["{h200}", "--into", "{h200}/report.json/merged"],
            ["error: --into must name a folder that can be written, got: {h200}/report.json/merged (File exists)"],
        ),
        (
            ["{h200}", "--into", "{merged}", "--require", "gpus>=2"],
            ["error: --require knows no 'gpus' (did you mean 'gpu'?)"],
        ),
        (
            ["{h200}", "--into", "{merged}", "--require", ""],
            ["error: --require takes \"gpu>=20, latency>=3\", got: ''"],
        ),
    ],
    ids=["no report", "into an input", "into a full folder", "into a file", "below a file", "requirement", "empty"],
)
def test_invalid_input_is_an_error(
    shards: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], lines: list[str]
) -> None:
    """The message has the rule, the value and a hint; the exit code is 2, and no file is left behind."""
    names = {name: str(tmp_path / name) for name in ("in", "merged", "empty")} | dict(
        zip(("h200", "l4"), shards, strict=True)
    )
    before = sorted(tmp_path.rglob("*"))

    assert merge(*(argument.format(**names) for argument in arguments)) == 2
    for line, expected in zip(capsys.readouterr().err.splitlines(), lines, strict=True):
        assert line.startswith(expected.format(**names))
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("number", ["0", "-1", "two", "\u0662x"])
def test_an_invalid_number_of_shards_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], number: str
) -> None:
    """It must be a whole number of at least 1."""
    with pytest.raises(SystemExit) as caught:
        merge(tmp_path, "--into", tmp_path / "merged", f"--expect={number}")

    assert caught.value.code == 2
    assert f"argument --expect: must be a whole number of at least 1, got: {number}" in capsys.readouterr().err


def test_a_missing_image_is_an_error(shards: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The folder can be uploaded without its images; no partial report is left."""
    shutil.rmtree(Path(shards[1]) / "images")

    assert merge(*shards, "--into", tmp_path / "merged") == 2
    assert capsys.readouterr().err.splitlines() == [
        f"error: the image images/sdxl/heat-map.png of the report {shards[1]}/report.json cannot be copied: "
        "No such file or directory",
        "  merge the whole folder that --diffopt-report wrote, with its images",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize("name", ["../../secret.png", "/etc/hostname", "link.png"])
def test_a_file_outside_of_a_report_is_not_copied(
    shards: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """A report can come from a machine that ran untrusted code."""
    (tmp_path / "secret.png").write_text("secret")
    (Path(shards[0]) / "link.png").symlink_to(tmp_path / "secret.png")
    path = Path(shards[0]) / "report.json"
    path.write_text(path.read_text(encoding="utf-8").replace("images/sdxl/image.png", name), encoding="utf-8")

    assert merge(*shards, "--into", tmp_path / "merged") == 2
    assert f"the image {name} of the report {path} cannot be copied: it is outside" in capsys.readouterr().err
    assert not (tmp_path / "merged").exists()


def test_an_invalid_figure_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every value has the right type, and the page divides by one that was set to zero."""
    folder = written(tmp_path / "a", [ratio()])
    path = folder / "report.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["verdicts"][0]["record"] |= {"subject_ns": [0] * 20, "reference_ns": [0] * 20}
    path.write_text(json.dumps(content), encoding="utf-8")

    assert merge(folder, "--into", tmp_path / "merged") == 2
    assert capsys.readouterr().err.startswith(
        f"error: the report {folder} cannot be shown: one of its figures is invalid"
    )
    assert not (tmp_path / "merged").exists()


def test_an_empty_folder_is_accepted(tmp_path: Path) -> None:
    """It can have been created for the report."""
    (tmp_path / "merged").mkdir()

    assert merge(written(tmp_path / "a", GOOD), "--into", tmp_path / "merged") == 0
    assert (tmp_path / "merged/report.json").is_file()


def test_the_page_of_a_merged_report_is_written_again(shards: list[str], tmp_path: Path) -> None:
    """`report` accepts a merged report."""
    merge(*shards, "--into", tmp_path / "merged")
    page = tmp_path / "merged/index.html"
    before = page.read_text(encoding="utf-8")
    page.unlink()

    assert main(["report", str(tmp_path / "merged")]) == 0
    assert page.read_text(encoding="utf-8") == before


def test_hostile_names_are_escaped(tmp_path: Path) -> None:
    """Names of folders and devices are untrusted."""
    name = "<script>alert(1)<"
    folders = [written(tmp_path / name, GOOD, device="<b>GPU"), written(tmp_path / "l4", [syncs()])]
    merge(*folders, "--into", tmp_path / "merged")
    page = (tmp_path / "merged/index.html").read_text(encoding="utf-8")
    summary = (tmp_path / "merged/summary.md").read_text(encoding="utf-8")

    assert "<script>alert" not in page + summary
    assert "<b>GPU" not in page + summary
    assert "<h3>&lt;script&gt;alert(1)&lt;</h3>" in page
