"""`python -m pytest_diffopt report DIR` writes the page again, or prints a short error."""

import json
from pathlib import Path

import pytest

from pytest_diffopt.__main__ import main
from pytest_diffopt.reports.writing import write_report
from tests.unit.reports.report_examples import draw_images, full_report, ratio, report


def test_the_page_is_written_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The page is identical, and its path is printed."""
    write_report(tmp_path, full_report([draw_images(tmp_path)]))
    page = tmp_path / "index.html"
    before = page.read_text(encoding="utf-8")
    page.unlink()

    assert main(["report", str(tmp_path)]) == 0
    assert page.read_text(encoding="utf-8") == before
    assert capsys.readouterr().out == f"{page}\n"


def test_a_folder_without_a_report_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two lines on stderr, and exit code 2."""
    assert main(["report", str(tmp_path)]) == 2
    assert capsys.readouterr().err.splitlines() == [
        f"error: the report {tmp_path / 'report.json'} cannot be read: No such file or directory",
        "  name the folder that --diffopt-report wrote",
    ]


def test_an_invalid_report_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The message has the file, the key and a hint; the existing page is unchanged."""
    write_report(tmp_path, full_report())
    path = tmp_path / "report.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["verdicts"][1]["record"]["num_step"] = 6
    path.write_text(json.dumps(content), encoding="utf-8")
    before = (tmp_path / "index.html").read_text(encoding="utf-8")

    assert main(["report", str(tmp_path)]) == 2
    assert capsys.readouterr().err.splitlines() == [
        f"error: the report {path} cannot be trusted: "
        "verdicts[1].record.num_step: unknown key (did you mean 'num_steps'?)",
        "  write it again with --diffopt-report",
    ]
    assert (tmp_path / "index.html").read_text(encoding="utf-8") == before


def test_an_invalid_figure_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every value has the right type, and the page divides by one that was set to zero."""
    write_report(tmp_path, report([ratio()]))
    path = tmp_path / "report.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["verdicts"][0]["record"] |= {"subject_ns": [0] * 20, "reference_ns": [0] * 20}
    path.write_text(json.dumps(content), encoding="utf-8")

    assert main(["report", str(tmp_path)]) == 2
    assert capsys.readouterr().err.splitlines() == [
        f"error: the report {tmp_path} cannot be shown: one of its figures is invalid: division by zero",
        "  write it again with --diffopt-report",
    ]
