"""Any content of a report's folder is read, refused with a `DiffoptError`, or not shown."""

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pytest_diffopt.guards.verdict import Outcome
from pytest_diffopt.records import Concern
from pytest_diffopt.reports.document import report_of
from pytest_diffopt.reports.json_report import read_json_report, write_json_report
from pytest_diffopt.reports.page.embedded_images import EmbeddedImages
from pytest_diffopt.session.settings import Settings
from tests.fuzz.inputs import json_inputs, mutated, only_diffopt_errors, share
from tests.unit.reports.verdict_examples import entry, ledger


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """Write a report with verdicts of several kinds; return its folder and its content."""
    folder = tmp_path_factory.mktemp("report")
    found = ledger(
        entry(figures={"median_ns": 1.5, "psnr_db": float("inf")}),
        entry(Outcome.REGRESSED, Concern.SYNCS, explanation=("diffopt: waits",), record={"syncs": [{"step": 1}]}),
        skipped={"test_gpu": "needs a GPU"},
    )
    write_json_report(folder, report_of(found, Settings()))
    return folder, (folder / "report.json").read_bytes()


@share(0.1)
@given(data=st.data())
def test_reading_a_report(report: tuple[Path, bytes], data: st.DataObject) -> None:
    """The report may come from another machine."""
    folder, valid = report
    (folder / "report.json").write_bytes(data.draw(json_inputs(valid)))

    only_diffopt_errors(lambda: read_json_report(folder))


def png() -> bytes:
    """Write a small image."""
    written = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(written, "PNG")
    return written.getvalue()


@pytest.mark.parametrize("whole_bytes", [10_000, 0], ids=["original size", "reduced size"])
@share(0.025)
@given(raw=mutated(png()) | st.binary(max_size=200))
def test_showing_an_image(tmp_path_factory: pytest.TempPathFactory, whole_bytes: int, raw: bytes) -> None:
    """An image that cannot be shown is replaced by a note with the reason."""
    folder = tmp_path_factory.getbasetemp()
    (folder / "image.png").write_bytes(raw)
    shown = EmbeddedImages(folder=folder, whole_bytes=whole_bytes).embed("image.png")

    assert shown.source or shown.note
