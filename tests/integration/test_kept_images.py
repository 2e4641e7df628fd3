"""Images of failing checks are kept; with a report, those of every check."""

import json

import numpy as np
import pytest
from PIL import Image

TWO = """
import numpy as np
from pytest_diffopt import assert_images_similar

IMAGE = np.linspace(0.1, 0.9, 16 * 16 * 3).reshape(1, 16, 16, 3)

def test_good():
    assert_images_similar(IMAGE, IMAGE)
    assert_images_similar(IMAGE, IMAGE)

def test_bad():
    assert_images_similar(np.concatenate([IMAGE, 1 - IMAGE]), np.concatenate([IMAGE, IMAGE]))
"""
FILES_OF_BAD = [
    "0-0-heat-map.png",
    "0-0-image.png",
    "0-0-reference.png",
    "0-1-heat-map.png",
    "0-1-image.png",
    "0-1-reference.png",
]


def test_a_failure_keeps_its_images_in_pytests_cache(project: pytest.Pytester) -> None:
    """The message contains the folder; a passing check keeps nothing."""
    project.makeini("[pytest]")
    project.makepyfile(test_it=TWO)
    result = project.runpytest_inprocess()

    folder = project.path / ".pytest_cache/d/diffopt/images"
    result.assert_outcomes(passed=1, failed=1)
    (folder_of_bad,) = folder.iterdir()
    assert f"images: {folder_of_bad}" in result.outlines
    assert sorted(path.name for path in folder_of_bad.iterdir()) == FILES_OF_BAD


def test_the_files_contain_the_compared_images(project: pytest.Pytester) -> None:
    """8 bits per channel; the heat map is dark where both agree."""
    project.makeini("[pytest]")
    project.makepyfile(test_it=TWO)
    project.runpytest_inprocess()

    (folder,) = (project.path / ".pytest_cache/d/diffopt/images").iterdir()
    expected = np.linspace(0.1, 0.9, 16 * 16 * 3).reshape(16, 16, 3)
    image, reference, same, other = (
        np.asarray(Image.open(folder / f"{name}.png"), dtype=float) / 255
        for name in ("0-1-image", "0-1-reference", "0-0-heat-map", "0-1-heat-map")
    )
    assert np.abs(image - (1 - expected)).max() < 0.003
    assert np.abs(reference - expected).max() < 0.003
    assert same.max() < 0.1 < other.mean()


@pytest.mark.usefixtures("warm_processes")
@pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["one process", "workers"])
def test_a_report_keeps_the_images_of_every_check(project: pytest.Pytester, workers: list[str]) -> None:
    """Each difference in `report.json` has the paths of its files, relative to the report's folder."""
    project.makepyfile(test_it=TWO)
    project.runpytest_inprocess("--diffopt-report=out", *workers)

    report = json.loads((project.path / "out/report.json").read_text())
    named = [
        file
        for verdict in report["verdicts"]
        for difference in verdict["record"]["differences"]
        for file in difference["files"].values()
    ]
    assert len(named) == len(set(named)) == 3 * 4
    assert all((project.path / "out" / file).is_file() for file in named)


def test_a_full_disk_does_not_hide_the_failure(project: pytest.Pytester) -> None:
    """The message contains the figures and the reason why no image was kept."""
    project.makeini("[pytest]")
    project.makepyfile(test_it=TWO)
    (project.path / ".pytest_cache/d/diffopt").mkdir(parents=True)
    (project.path / ".pytest_cache/d/diffopt/images").write_text("")
    result = project.runpytest_inprocess()

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["diffopt: 1 of 2 images differs from the reference", "the image */0-0-image.png cannot be kept: *"]
    )
