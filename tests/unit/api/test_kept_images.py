"""Images are saved under names derived from the test's, in the report's folder or another one."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pytest_diffopt.api.image_files import save_image
from pytest_diffopt.errors import DiffoptError
from pytest_diffopt.session.artifacts import Artifacts


def test_a_report_keeps_every_image_in_its_folder(tmp_path: Path) -> None:
    """Names are relative to the report's folder."""
    artifacts = Artifacts(nodeid="test_it.py::test_a", report_folder=tmp_path)
    name = save_image(artifacts, np.full((2, 3, 3), 0.5), "0-image")

    assert artifacts.keeps_everything
    assert name.startswith("images/test_it.py__test_a-")
    assert artifacts.path_of(name) == str(tmp_path / name)
    assert np.asarray(Image.open(tmp_path / name)).tolist() == [[[128] * 3] * 3] * 2


def test_without_a_report_the_other_folder_is_created_on_demand(tmp_path: Path) -> None:
    """It does not exist before the first image is saved."""
    made = tmp_path / "made"

    def other_folder() -> Path:
        made.mkdir(exist_ok=True)
        return made

    artifacts = Artifacts(nodeid="test_a", other_folder=other_folder)

    assert not artifacts.keeps_everything
    assert not made.exists()
    assert (made / save_image(artifacts, np.zeros((2, 2, 1)), "0")).is_file()


def test_two_tests_never_share_a_file(tmp_path: Path) -> None:
    """Characters that are replaced in file names do not make two names equal."""
    names = {
        save_image(Artifacts(nodeid=nodeid, report_folder=tmp_path), np.zeros((2, 2, 3)), "0")
        for nodeid in ("test_it.py::test_a[x/y]", "test_it.py::test_a[x:y]", "../../test_it.py::test_a")
    }

    assert len(names) == 3
    assert all((tmp_path / name).resolve().is_relative_to(tmp_path) for name in names)


def test_values_outside_of_the_range_are_clipped(tmp_path: Path) -> None:
    """NaN becomes 0, so that an image with NaN is saved too."""
    pixels = np.array([[[np.nan], [np.inf], [-1.0], [2.0]]])
    name = save_image(Artifacts(nodeid="test_a", report_folder=tmp_path), pixels, "0")

    assert np.asarray(Image.open(tmp_path / name)).tolist() == [[0, 255, 0, 255]]


def test_a_folder_that_cannot_be_created_is_an_error(tmp_path: Path) -> None:
    """The message contains the file and the reason."""
    (tmp_path / "images").write_text("")

    with pytest.raises(DiffoptError, match=r"the image .*0\.png cannot be kept: "):
        save_image(Artifacts(nodeid="test_a", report_folder=tmp_path), np.zeros((2, 2, 3)), "0")
