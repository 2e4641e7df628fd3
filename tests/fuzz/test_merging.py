"""Reports with any content are merged into one with its page, or refused with a `DiffoptError`."""

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_diffopt.reports.merging.merge import merge
from tests.fuzz.inputs import json_inputs, only_diffopt_errors, share
from tests.unit.reports.merging.shard_examples import written
from tests.unit.reports.report_examples import (
    BROKEN,
    ON_GPU,
    SDXL,
    SKIPPED,
    clean,
    draw_images,
    images,
    one_of_each,
    syncs,
)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Path, list[bytes]]]:
    """Write two reports with images, and return their folders, each with reports of few and many findings."""
    folders = [tmp_path_factory.mktemp(name) for name in ("h200", "l4")]
    contents: list[list[bytes]] = []
    for folder in folders:
        files = [draw_images(folder, side=8)]
        found = [[images(files=files)], [syncs(num_steps=1), *clean(SDXL, ON_GPU)], one_of_each(files)]
        contents.append(
            [
                (written(folder, entries, broken=[BROKEN], skipped=SKIPPED) / "report.json").read_bytes()
                for entries in found
            ]
        )
    return list(zip(folders, contents, strict=True))


@share(0.05)
@given(data=st.data())
def test_merging_reports(shards: list[tuple[Path, list[bytes]]], data: st.DataObject) -> None:
    """The images are copied, and the page and the summary are written."""
    for folder, contents in shards:
        valid = data.draw(st.sampled_from(contents))
        (folder / "report.json").write_bytes(data.draw(st.just(valid) | json_inputs(valid)))
    folders = [folder for folder, _ in shards]
    into = folders[0].parent / "merged"
    shutil.rmtree(into, ignore_errors=True)

    only_diffopt_errors(lambda: merge(folders, into, num_shards=2, required="gpu>=1, latency>=1"))
