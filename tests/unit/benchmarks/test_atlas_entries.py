"""Test the lines of the atlas: the file that an interrupted run continues, and its figures."""

from pathlib import Path

import msgspec
import pytest

from benchmarks.atlas import entries
from benchmarks.diffusers_tests.results import Done, rewrite
from tests.unit.benchmarks.atlas_examples import BAD, GOOD, LOOP, NOT_BUILT, SYNCING_LOOP


def test_a_killed_workers_incomplete_line_is_ignored_and_then_removed(tmp_path: Path) -> None:
    """Entries and completed groups are read; writing them again removes the incomplete line."""
    file = tmp_path / "atlas.jsonl"
    lines = b"".join(msgspec.json.encode(one) + b"\n" for one in (GOOD, Done(done="wan"), NOT_BUILT))
    file.write_bytes(lines + b'{"group": "sd3", "ca')

    found, done = entries.read(file)
    rewrite(file, found, done)

    assert (found, done) == ([GOOD, NOT_BUILT], {"wan"})
    assert entries.read(file) == (found, done)
    assert file.read_bytes().endswith(b"\n")


def test_a_foreign_line_is_refused(tmp_path: Path) -> None:
    """A file of something else is neither continued nor overwritten."""
    file = tmp_path / "atlas.jsonl"
    file.write_text('{"weights": 3}\n')

    with pytest.raises(SystemExit, match=r"atlas\.jsonl, line 1: .*give --lines another file, or remove this one"):
        entries.read(file)


def test_later_steps_are_counted_apart_from_the_first() -> None:
    """The step after the first with most syncs is reported, not their mean."""
    assert (LOOP.syncs_in_first_step, LOOP.syncs_per_later_step) == (0, 0)
    assert (SYNCING_LOOP.syncs_in_first_step, SYNCING_LOOP.syncs_per_later_step) == (1, 1)


def test_a_denoiser_with_a_break_is_not_one_graph() -> None:
    """One graph and no break is one graph."""
    whole, broken = (one.denoisers[0].is_whole for one in (GOOD, BAD) if one.denoisers)
    assert (whole, broken) == (True, False)
