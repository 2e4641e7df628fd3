"""Test the page of measured costs: every measurement has its section, and a section its command, date and machine."""

import datetime as dt
import re
from pathlib import Path

import pytest

from benchmarks import figures
from benchmarks.figures import MEASUREMENTS, Measurement, main, section

ROOT = Path(__file__).parents[3]
PAGE = "# Figures\n<!-- begin: start-up -->\nearlier\n<!-- end: start-up -->\n"


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a page of one section, and let the command write it."""
    file = tmp_path / "figures.md"
    file.write_text(PAGE)
    monkeypatch.setattr(figures, "_PAGE", file)
    return file


def measure(monkeypatch: pytest.MonkeyPatch, script: str) -> int:
    """Run a script as the only measurement."""
    monkeypatch.setattr(figures, "MEASUREMENTS", (Measurement(name="start-up", arguments=("-c", script)),))
    return main([])


def test_each_measurement_has_a_section_and_a_file() -> None:
    """The page is written in place, so a section without markers would be lost."""
    sections = re.findall(r"<!-- begin: (.+) -->", (ROOT / "docs/figures.md").read_text(encoding="utf-8"))

    assert [one.name for one in MEASUREMENTS] == sections
    for one in MEASUREMENTS:
        assert (ROOT / one.arguments[-1].replace(".", "/").removesuffix("/py")).with_suffix(".py").is_file()


def test_a_section_has_command_date_machine_and_output() -> None:
    """What a reader needs to repeat it."""
    lines = section(MEASUREMENTS[0], "7.5 ms  \n23 us\n", "a CPU, 2 cores", dt.date(2026, 11, 30))

    assert lines[0] == "`python benchmarks/start_up.py`, 2026-11-30, a CPU, 2 cores:"
    assert lines[-4:] == ["```text", "7.5 ms", "23 us", "```"]


def test_the_section_is_replaced(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exit code is the command's: a figure beyond its limit is written, and fails."""
    assert measure(monkeypatch, "print('40 ms (15 ms allowed)'); raise SystemExit(1)") == 1

    assert "```text\n40 ms (15 ms allowed)\n```" in page.read_text()
    assert "earlier" not in page.read_text()


def test_a_command_that_measures_nothing_keeps_the_earlier_section(
    page: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its error is shown."""
    assert measure(monkeypatch, "raise ValueError('no such pipeline')") == 1

    assert page.read_text() == PAGE
    assert "ValueError: no such pipeline" in capsys.readouterr().err
