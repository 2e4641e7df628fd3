"""Reports of other machines with any content are merged into one report, or refused with a `DiffoptError`."""

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_diffopt.reports.merging.combining import Demands, together
from pytest_diffopt.reports.merging.new_folder import new_folder
from pytest_diffopt.reports.merging.sources import read_sources
from pytest_diffopt.reports.merging.writing import write_merged
from pytest_diffopt.session.required_verdicts import parse_requirements
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

DEMANDS = Demands(num_shards=2, requirements=parse_requirements("gpu>=1, latency>=1"))


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Path, list[bytes]]]:
    """Write two reports with images; return their folders, each with reports of few and of many findings."""
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
    """Including copying the images and writing the page and the summary."""
    for folder, contents in shards:
        valid = data.draw(st.sampled_from(contents))
        (folder / "report.json").write_bytes(data.draw(st.just(valid) | json_inputs(valid)))
    folders = [folder for folder, _ in shards]
    into = folders[0].parent / "merged"
    shutil.rmtree(into, ignore_errors=True)

    def merge() -> None:
        sources = read_sources(folders)
        report = together(sources, DEMANDS)
        with new_folder(into, others=folders) as folder:
            write_merged(folder, report, sources)

    only_diffopt_errors(merge)
