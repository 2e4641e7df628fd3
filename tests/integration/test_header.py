"""The header shows the device, versions and scale of a session, and the source of the weights."""

from importlib.metadata import version
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

VERSIONS = f"torch {version('torch')}, diffusers {version('diffusers')}"
DEVICE = "diffopt: device cpu (syncs: simulated GPU)"
NAMED = """
import pytest

@pytest.mark.diffopt(pipeline="sdxl", scale={scale!r})
def test_it(diffopt_pipeline):
    pass
"""


def test_the_header_shows_device_versions_scale_and_baselines(project: pytest.Pytester) -> None:
    """It is one line, once, after the collection that found the first diffopt test."""
    project.makepyfile(test_it=NAMED.format(scale="tiny"))
    result = project.runpytest_inprocess("--collect-only")

    line = f"{DEVICE}, {VERSIONS}, scale tiny, baselines baselines, inconclusive tests skip"
    assert result.outlines.count(line) == 1
    assert result.outlines[result.outlines.index(line) - 1] == "collected 1 item"


@pytest.mark.parametrize("option", ["-q", "--no-header"])
def test_where_pytest_shows_no_header_the_line_is_not_shown(project: pytest.Pytester, option: str) -> None:
    """As with pytest's own lines."""
    project.makepyfile(test_it=NAMED.format(scale="tiny"))
    result = project.runpytest_inprocess("--collect-only", option)

    result.stdout.no_fnmatch_line("diffopt: device *")


def test_the_header_follows_the_options(project: pytest.Pytester, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Any option puts the line into pytest's header; the path of a baselines folder outside of the root is absolute."""
    folder: Path = tmp_path_factory.mktemp("elsewhere")
    result = project.runpytest_inprocess("--diffopt-scale=full", f"--diffopt-baselines={folder}")

    line = f"{DEVICE}, {VERSIONS}, scale full, baselines {folder}, inconclusive tests skip"
    assert line in result.outlines


@pytest.mark.parametrize(
    ("scale", "line"),
    [
        ("tiny", "diffopt: sdxl (tiny): weights trained, shipped with pytest-diffopt"),
        (
            "full",
            "diffopt: sdxl (full): weights stabilityai/stable-diffusion-xl-base-1.0 if the hub answers, else random",
        ),
    ],
)
def test_the_source_of_weights_is_shown_for_each_collected_pipeline(
    project: pytest.Pytester, scale: str, line: str
) -> None:
    """After collection, before the first test, and without network access."""
    project.makepyfile(test_it=NAMED.format(scale=scale))
    result = project.runpytest_inprocess("--collect-only")

    assert line in result.outlines


def test_without_named_pipelines_no_weights_are_shown(project: pytest.Pytester) -> None:
    """No pipeline is built."""
    project.makepyfile(test_it="def test_other(): pass")
    result = project.runpytest_inprocess()

    result.stdout.no_fnmatch_line("diffopt: *weights*")
