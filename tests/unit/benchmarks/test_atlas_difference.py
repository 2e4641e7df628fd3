"""Test what changed between two atlases."""

from pathlib import Path

import msgspec
import pytest

from benchmarks.atlas.difference import differences, main
from tests.unit.benchmarks.atlas_examples import BAD, GOOD, NOT_BUILT, SIGMA_READ, SYNC, SYNCING_LOOP, TABLE, atlas

WORSE = f"""\
WanPipeline: +1 graph break in transformer ({TABLE})
WanPipeline: +1 operation per step
WanPipeline: +1 recompile of transformer
WanPipeline: +1 sync per step ({SIGMA_READ})
WanPipeline: +3.00 MiB of memory stay between calls
WanPipeline: the repeated blocks of transformer no longer compile: Unsupported: context manager
"""


def written(folder: Path, **atlases: object) -> list[str]:
    """Write atlases, and return their paths."""
    for name, one in atlases.items():
        (folder / name).write_bytes(msgspec.json.encode(one))
    return [str(folder / name) for name in atlases]


def test_each_figure_that_became_worse_is_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command prints a sentence for each with the line, and fails."""
    files = written(tmp_path, before=atlas(GOOD), after=atlas(BAD))

    assert main(files) == 1
    assert capsys.readouterr().out == WORSE


def test_an_improvement_is_listed_and_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The reverse change names the line that no longer synchronizes."""
    files = written(tmp_path, before=atlas(BAD), after=atlas(GOOD))

    assert main(files) == 0
    assert f"WanPipeline: -1 sync per step ({SIGMA_READ})\n" in capsys.readouterr().out


def test_a_line_that_only_moved_is_no_change() -> None:
    """A line is known by its text, not by its number."""
    moved = msgspec.structs.replace(SYNC, where=msgspec.structs.replace(SIGMA_READ, line=640))
    loop = msgspec.structs.replace(SYNCING_LOOP, syncs=(moved,))

    assert differences(atlas(BAD), atlas(msgspec.structs.replace(BAD, loop=loop))) == []


def test_a_pipeline_without_a_counterpart_is_no_change(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What could not be built before cannot have changed."""
    files = written(tmp_path, before=atlas(NOT_BUILT), after=atlas(BAD, NOT_BUILT))

    assert main(files) == 0
    assert capsys.readouterr().out == "no figure changed\n"


def test_another_file_is_refused(tmp_path: Path) -> None:
    """The message names the file and the command that writes an atlas."""
    file = tmp_path / "report.json"
    file.write_text("{}")

    with pytest.raises(SystemExit, match=r"report\.json is not an atlas, which `python -m benchmarks\.atlas --json`"):
        main([str(file), str(file)])
