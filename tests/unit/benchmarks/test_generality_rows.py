"""The rows of the generality benchmark: kept in a file that a killed run can go on with, summed up, and judged."""

from pathlib import Path

import msgspec
import pytest

from benchmarks.generality import rows
from benchmarks.generality.rows import Done, Outcome, Row

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
    """Write what a worker would."""
    file.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    return file


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    """With the groups that are done, and without the half line of a worker that was killed."""
    file = written(tmp_path / "rows.json", RAN, Done(done="flux"), NOT_BUILT)
    file.write_bytes(file.read_bytes() + b'{"group": "sd3", "ca')

    assert rows.read(file) == ([RAN, NOT_BUILT], {"flux"})


def test_no_file_is_a_fresh_start(tmp_path: Path) -> None:
    """Nothing is known and nothing is done."""
    assert rows.read(tmp_path / "rows.json") == ([], set())


@pytest.mark.parametrize("line", [b"[]", b"{", b'{"group": 1}'])
def test_a_file_of_something_else_is_refused(tmp_path: Path, line: bytes) -> None:
    """By name and line, with what to do."""
    file = tmp_path / "rows.json"
    file.write_bytes(line + b"\n")

    with pytest.raises(SystemExit, match=r"rows\.json, line 1: .*; give --json another file, or remove this one"):
        rows.read(file)


def test_the_table_has_a_line_for_each() -> None:
    """Times and differences of what ran, reasons of what did not, and what is wrong with a row at its end."""
    shown = list(rows.table([RAN, OFF, SLOW, FAILED]))

    assert [" ".join(line.split()) for line in shown[1:]] == [
        "flux/test_flux::FluxTests 400 ms 400 ms 1.00 none",
        "flux/off 400 ms 400 ms 1.00 2.0e-02 1.0e-06 laid out alike",
        "flux/slow 400 ms 1000 ms 2.50 none NOT RESTORED",
        "flux/failed failed: TypeError: no",
    ]


def test_the_totals_sum_up_what_ran() -> None:
    """What could not be built anywhere counts neither for nor against."""
    assert list(rows.totals([RAN, OFF, WRONG, FAILED, NOT_BUILT])) == [
        "3 of 4 pipelines ran; 1 could not be built on the CPU either",
        "1 give the CPU's output within 0.0001, 1 of them exactly; 2 laid out alike",
        "3 came back in the memory that they had",
        (
            "processor time: CPU 1.2 s, simulated GPU 1.2 s, 1.00 times as much (1.5 allowed); "
            "the middle pipeline 1.00 times; 0 us more an operation"
        ),
    ]


@pytest.mark.parametrize(
    ("seen", "is_kept"),
    [
        ([RAN, OFF, NOT_BUILT], True),
        ([RAN, WRONG], False),
        ([RAN, FAILED], False),
        ([SLOW], False),
        ([NOT_BUILT], False),
        ([], False),
    ],
    ids=["all right", "a wrong output", "a failure", "too slow", "nothing built", "nothing"],
)
def test_the_promise(seen: list[Row], *, is_kept: bool) -> None:
    """All run, all are right, within the time; nothing at all is no promise kept."""
    assert rows.is_kept(seen) is is_kept
