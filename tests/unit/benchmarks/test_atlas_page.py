"""Test the page of the atlas, as text and in a browser."""

import re
from pathlib import Path

import msgspec
import pytest

from benchmarks.atlas.difference import differences
from benchmarks.atlas.page import cells, page, shared_lines
from tests.unit.benchmarks.atlas_examples import BAD, GOOD, NOT_BUILT, OTHER, SIGMA_READ, atlas
from tools.browser import content_after_scripts
from tools.site_without_network import fetched_from_elsewhere

CLICK = """<script>addEventListener("load", () => {
  document.querySelectorAll("#atlas th button")[2].click();
  document.getElementById("search").value = "%s";
  document.getElementById("search").dispatchEvent(new Event("input"));
});</script></body>"""


def test_cells_hold_the_figures() -> None:
    """A pipeline without a fault has good cells, one with faults has bad ones; what is unknown is never good."""
    assert [cell.text for cell in cells(GOOD)] == ["0", "0", "yes", "yes", "0", "0 B", "120", "0 B"]
    assert [cell.text for cell in cells(BAD)] == ["1", "1", "1 break", "no", "1", "3.0 MiB", "121", "4 B"]
    assert {cell.badge for cell in cells(BAD)[:6]} == {"bad"}
    assert [cell.badge for cell in cells(OTHER)[:2]] == ["unknown", "unknown"]


def test_the_page_has_each_line_and_reason() -> None:
    """The lines of each pipeline, what could not be measured and why; foreign text is escaped."""
    text = page(atlas(BAD, OTHER, NOT_BUILT))

    assert str(SIGMA_READ) in text
    assert "Unsupported context manager" in text
    assert "ProbeError: &lt;the loop&gt; was never entered" in text
    assert "old/test_old: not built: OSError: offline" in text
    assert fetched_from_elsewhere(text) == []


def test_a_pipeline_with_two_configurations_has_two_sections() -> None:
    """Each row of the table links to its own section."""
    second = msgspec.structs.replace(BAD, case="test_22::Wan22Tests")

    text = page(atlas(GOOD, second))

    assert re.findall(r'<a href="#([^"]+)">', text) == [
        "WanPipeline-wanpipeline-test",
        "WanPipeline-wanpipeline-test_22",
    ]
    assert re.findall(r'<section id="([^"]+)">', text) == re.findall(r'<a href="#([^"]+)">', text)


def test_the_table_is_in_the_order_that_its_heading_states() -> None:
    """By the name of the pipeline, however its tests are called."""
    later = msgspec.structs.replace(GOOD, pipeline="ZImagePipeline", group="a")

    assert re.findall(r'<a href="#([^"]+)">', page(atlas(later, BAD, OTHER))) == [
        "AuraPipeline",
        "WanPipeline",
        "ZImagePipeline",
    ]


def test_the_page_lists_the_changes() -> None:
    """The changes since a release are on the page only where one was compared."""
    assert "Changes since" not in page(atlas(BAD))

    text = page(atlas(BAD), differences(atlas(GOOD), atlas(BAD)), before="0.41.0")

    assert "Changes since 0.41.0" in text
    assert f'<li class="worse">WanPipeline: +1 sync per step ({SIGMA_READ})</li>' in text


def test_a_line_of_several_pipelines_is_listed_once() -> None:
    """Lines in common code are the first to be fixed."""
    (line,) = shared_lines([BAD, OTHER])

    assert (line.where, line.pipelines) == (SIGMA_READ, ("WanPipeline",))


@pytest.mark.needs("browser")
@pytest.mark.parametrize(
    ("words", "visible"),
    [
        pytest.param("", ["WanPipeline", "AuraPipeline"], id="all"),
        pytest.param("aur pipe", ["AuraPipeline"], id="words"),
        pytest.param("sdxl", [], id="none"),
    ],
)
def test_the_table_is_sorted_and_searched(tmp_path: Path, words: str, visible: list[str]) -> None:
    """A click sorts by a figure, most first and the unknown last; the search hides other rows."""
    file = tmp_path / "index.html"
    file.write_text(page(atlas(OTHER, BAD)).replace("</body>", CLICK % words))

    rows = re.findall(r'<tr data-name="(\w+) \w+"( hidden="")?>', content_after_scripts(file))

    assert [name for name, hidden in rows if not hidden] == visible
    assert len(rows) == 2
