"""Test that an atlas which is not complete can be continued."""

from pathlib import Path

import msgspec
import pytest

from benchmarks.atlas import __main__ as command
from benchmarks.atlas import entries
from benchmarks.diffusers_tests import supervising
from tests.unit.benchmarks.atlas_examples import BAD, GOOD, OTHER, atlas

PARTIAL = msgspec.structs.replace(atlas(GOOD, OTHER), tests="1.2.0", left=("aurapipeline",))


@pytest.fixture
def arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the arguments that continue an atlas, without measuring anything."""
    monkeypatch.setattr(supervising, "check_requirements", lambda _: None)
    for group in ("wanpipeline", "aurapipeline"):
        (tmp_path / "tests/pipelines" / group).mkdir(parents=True)
        (tmp_path / "tests/pipelines" / group / "test_it.py").touch()
    (tmp_path / "src/diffusers").mkdir(parents=True)
    (tmp_path / "src/diffusers/__init__.py").write_text('__version__ = "1.2.0"\n')
    (tmp_path / "earlier.json").write_bytes(msgspec.json.encode(PARTIAL))
    files = {"diffusers": "", "lines": "atlas.jsonl", "json": "atlas.json", "continued": "earlier.json"}
    return ["--so-far", *(part for name, file in files.items() for part in (f"--{name}", str(tmp_path / file)))]


def test_an_atlas_is_continued_where_it_ends(arguments: list[str], tmp_path: Path) -> None:
    """Its entries are kept, and only the folder that was left is measured."""
    assert command.main(arguments) == 0

    assert entries.read(tmp_path / "atlas.jsonl") == ([GOOD, OTHER], {"wanpipeline"})
    written = msgspec.json.decode((tmp_path / "atlas.json").read_bytes(), type=entries.Atlas)
    assert (written.entries, written.left) == ((OTHER, GOOD), ("aurapipeline",))


def test_lines_are_not_replaced(arguments: list[str], tmp_path: Path) -> None:
    """They may be newer than the atlas."""
    (tmp_path / "atlas.jsonl").write_bytes(msgspec.json.encode(BAD) + b"\n")

    with pytest.raises(SystemExit, match=r"earlier\.json would replace .*atlas\.jsonl, which exists: remove one of"):
        command.main(arguments)


def test_an_atlas_of_another_checkout_is_refused(arguments: list[str], tmp_path: Path) -> None:
    """Its entries would be taken for those of this one."""
    (tmp_path / "src/diffusers/__init__.py").write_text('__version__ = "1.3.0"\n')

    with pytest.raises(SystemExit, match=r"earlier\.json is of diffusers 1\.2\.0, but --diffusers is 1\.3\.0"):
        command.main(arguments)
