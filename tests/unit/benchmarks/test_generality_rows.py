"""Test the rows of the generality benchmark: the file that an interrupted run continues, the totals, the verdict."""

from pathlib import Path

import msgspec
import pytest

from benchmarks.diffusers_tests.results import Done, Outcome
from benchmarks.generality import rows
from benchmarks.generality.rows import Row

RAN = Row(
    group="flux",
    case="test_flux::FluxTests",
    outcome=Outcome.RAN,
    cpu_s=(0.1, 0.3),
    simulated_s=(0.2, 0.2),
    operations=100,
    difference=0.0,
)
OFF = msgspec.structs.replace(RAN, case="off", difference=0.02, difference_laid_out_alike=1e-6)
WRONG = msgspec.structs.replace(RAN, case="wrong", difference=0.02, difference_laid_out_alike=0.02)
SLOW = msgspec.structs.replace(RAN, case="slow", simulated_s=(0.5, 0.5), is_restored=False)
FAILED = Row(group="flux", case="failed", outcome=Outcome.FAILED, reason="TypeError: no")
NOT_BUILT = Row(group="old", case="test_old", outcome=Outcome.NOT_BUILT, reason="OSError: offline")


def written(file: Path, *lines: Row | Done) -> Path:
    """Write lines as a worker does."""
    file.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    return file


def test_read_ignores_incomplete_last_line(tmp_path: Path) -> None:
    """Rows and completed groups are read; the incomplete line of a killed worker is ignored."""
    file = written(tmp_path / "rows.json", RAN, Done(done="flux"), NOT_BUILT)
    file.write_bytes(file.read_bytes() + b'{"group": "sd3", "ca')

    assert rows.read(file) == ([RAN, NOT_BUILT], {"flux"})


def test_missing_file_has_no_rows(tmp_path: Path) -> None:
    """Without a file there are no rows and no completed groups."""
    assert rows.read(tmp_path / "rows.json") == ([], set())


@pytest.mark.parametrize("line", [b"[]", b"{", b'{"group": 1}'])
def test_foreign_file_is_refused(tmp_path: Path, line: bytes) -> None:
    """The message has the file, the line and what to do."""
    file = tmp_path / "rows.json"
    file.write_bytes(line + b"\n")

    with pytest.raises(SystemExit, match=r"rows\.json, line 1: .*; give --json another file, or remove this one"):
        rows.read(file)


def test_table_has_a_line_for_each_pipeline() -> None:
    """A line has times and difference if the pipeline ran, else the reason; notes are at its end."""
    shown = list(rows.table([RAN, OFF, SLOW, FAILED]))

    assert [" ".join(line.split()) for line in shown[1:]] == [
        "flux/test_flux::FluxTests 400 ms 400 ms 1.00 none",
        "flux/off 400 ms 400 ms 1.00 2.0e-02 1.0e-06 with the same layout",
        "flux/slow 400 ms 1000 ms 2.50 none NOT RESTORED",
        "flux/failed failed: TypeError: no",
    ]


def test_totals_exclude_pipelines_that_cannot_be_built() -> None:
    """A pipeline that cannot be built on the CPU counts neither as run nor as failed."""
    assert list(rows.totals([RAN, OFF, WRONG, FAILED, NOT_BUILT])) == [
        "3 of 4 pipelines ran; 1 more could not be built on the CPU",
        "1 match the CPU's output within 0.0001, 1 of them exactly; 2 with the same layout",
        "3 are back in their original memory",
        (
            "CPU time: CPU 1.2 s, simulated GPU 1.2 s, ratio 1.00 (1.5 allowed); "
            "median ratio 1.00; 0 us more per operation"
        ),
    ]


@pytest.mark.parametrize(
    ("found", "passes"),
    [
        ([RAN, OFF, NOT_BUILT], True),
        ([RAN, WRONG], False),
        ([RAN, FAILED], False),
        ([SLOW], False),
        ([NOT_BUILT], False),
        ([], False),
    ],
    ids=["all right", "wrong output", "failed", "too slow", "nothing built", "no rows"],
)
def test_passes_only_if_all_pipelines_match_in_time(found: list[Row], *, passes: bool) -> None:
    """All pipelines must run, match and stay within the time limit; no pipelines fail."""
    assert rows.passes(found) is passes
