"""The page shows every kind of finding, fetches nothing, runs only its own script, and escapes all text."""

import hashlib
import re
from base64 import b64encode
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pytest_diffopt.records import ImageFiles
from pytest_diffopt.reports.document import Report
from pytest_diffopt.reports.json_report import ReportError, read_json_report, write_json_report
from pytest_diffopt.reports.page.rendering import render, write_page
from pytest_diffopt.session.ledger import BrokenTest, CaseResult
from pytest_diffopt.session.unmet_requirements import UnmetRequirement
from tests.unit.reports.report_examples import (
    SDXL,
    applied,
    draw_images,
    full_report,
    graph_breaks,
    images,
    report,
    syncs,
)

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'onmouseover='alert(1)",
    "</style></script><b>",
    "javascript:alert(1)",
    "`backticks` {{ 7 * 7 }} {% raw %}",
    "a\nnew line\t| pipe & ampersand",
)
VOID = {"meta", "img", "input", "br"}


class Elements(HTMLParser):
    """The elements of a page with their attributes; fails if the elements are not nested correctly."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Record an element."""
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Record a self-closing SVG element."""
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        """Close the innermost element."""
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Record a text."""
        self.texts.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """Return the attributes of each element with this tag."""
        return [attributes for name, attributes in self.found if name == tag]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Create a report's folder with the images of one case."""
    path = tmp_path_factory.mktemp("report")
    draw_images(path)
    return path


@pytest.fixture(scope="module")
def everything(folder: Path) -> Report:
    """Return a report with every kind of finding."""
    return full_report([draw_images(folder)])


def test_the_page_has_every_verdict_and_every_test_without_one(folder: Path, everything: Report) -> None:
    """Each case is listed once, failed ones open; skipped tests have their reason."""
    page = render(everything, folder)
    cases = [one for one in Elements(page).all("details") if str(one.get("id", "")).startswith("case-")]

    assert len(cases) == len(everything.verdicts)
    assert sum("open" in one for one in cases) == 17
    assert "17 of 31 checks failed and 1 test failed without a verdict" in page
    assert page.count("needs a GPU: run with --diffopt-gpu") == 1
    assert "3 tests" in page
    assert "OSError: no weights here" in page


def test_each_kind_of_case_shows_its_main_facts(folder: Path, everything: Report) -> None:
    """Lines of code, accepted and new figures, and the module where images diverge."""
    page = render(everything, folder)

    for fact in (
        "diffusers/schedulers/scheduling_ddim.py:449",
        "alpha_prod_t_prev = self.alphas_cumprod[prev_timestep]",
        "Failed to trace builtin operator: print",
        "119 generated kernels, 934 external calls, 3 graph partitions",
        "GB0059",
        "was <code>float 5.0</code>, is <code>float 7.5</code>",
        "unet.conv_in is contiguous",
        "SSIM 0.6173",
        "FLIP 0.3400",
        "unet.mid_block.attentions.0",
        "accepted 2.20 s, up to 2.31 s allowed",
        "1,204</td>",
        "1,390</td>",
        "+15.4 %",
        "torch 2.13.0, accepted with 2.12.1",
    ):
        assert fact in page, fact


def test_lpips_is_shown_only_if_it_was_measured(folder: Path) -> None:
    """It is listed between FLIP and the errors."""
    measured, other = render(report([images(lpips=0.1234)]), folder), render(report([images()]), folder)

    assert "FLIP 0.3400 · LPIPS 0.1234 · largest error 0.9100" in measured
    assert "FLIP 0.3400 · largest error 0.9100" in other


def test_images_are_embedded(folder: Path, everything: Report) -> None:
    """Reference, image and heat map are data URLs."""
    found = Elements(render(everything, folder)).all("img")

    assert [str(one["alt"]).partition(",")[0] for one in found] == ["reference", "image", "FLIP heat map"]
    assert all(str(one["src"]).startswith("data:image/png;base64,") for one in found)


def test_nothing_is_fetched_and_links_stay_inside(folder: Path, everything: Report) -> None:
    """The page has no URL of another host, and links lead only into the page or to `report.json`."""
    page = render(everything, folder)
    elements = Elements(page)

    assert {name for name, _ in elements.found} & {"link", "iframe", "object", "embed", "base", "form"} == set()
    assert not re.search(r"url\(|@import|https?://", page)
    assert all(str(one["href"]).startswith("#") or one["href"] == "report.json" for one in elements.all("a"))
    assert not any("src" in one for one in elements.all("script"))


def test_every_link_has_a_target(folder: Path, everything: Report) -> None:
    """IDs are unique, and each link names one of them."""
    elements = Elements(render(everything, folder))
    anchors = [one["id"] for _, one in elements.found if "id" in one]

    assert len(anchors) == len(set(anchors))
    assert {str(one["href"])[1:] for one in elements.all("a") if one["href"] != "report.json"} <= set(map(str, anchors))


def test_only_the_pages_own_script_and_style_are_allowed(folder: Path, everything: Report) -> None:
    """The policy has their digests, and no element has an inline style or handler."""
    page = render(everything, folder)
    elements = Elements(page)
    policy = next(str(one["content"]) for one in elements.all("meta") if "http-equiv" in one)

    for tag in ("style", "script"):
        (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        assert f"{tag}-src 'sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" in policy
    assert policy.startswith("default-src 'none'; img-src data:; ")
    assert not any(name == "style" or name.startswith("on") for _, one in elements.found for name in one)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_escaped(folder: Path, text: str) -> None:
    """In pipelines, recipes, lines of code, reasons, explanations, image files and node IDs."""
    subject = replace(SDXL, pipeline=text, recipe=text)
    files = ImageFiles(image=text, reference=text, heat_map=text)
    entries = [applied(subject, is_good=False), syncs(subject), graph_breaks(subject, is_good=False)]
    entries.append(images(subject, files=(files,)))
    hostile = Elements(
        render(
            report(
                entries,
                broken=[BrokenTest(nodeid=text, reason=text, details=text)],
                skipped=[CaseResult(nodeid=text, file=text, line=1, skip_reason=text)],
                unmet_requirements=[UnmetRequirement(text=text, is_failure=True)],
            ),
            folder,
        )
    )
    harmless = Elements(render(full_report(), folder))

    assert {name for name, _ in hostile.found} <= {name for name, _ in harmless.found} | {"img"}
    assert len(hostile.all("script")) == 1
    assert any(text in shown for shown in hostile.texts)
    assert not any(
        name.startswith("on") or "javascript:" in str(value)
        for _, one in hostile.found
        for name, value in one.items()
        if name != "title"
    )


def test_a_page_from_report_json_is_identical(folder: Path, everything: Report) -> None:
    """The document contains everything that the page shows."""
    write_json_report(folder, everything)

    assert render(read_json_report(folder), folder) == render(everything, folder)


def test_an_empty_report_gives_a_valid_page(folder: Path) -> None:
    """Its headline is `Nothing was checked`."""
    page = render(report([]), folder)

    Elements(page)
    assert "<h1>Nothing was checked</h1>" in page


def test_a_case_with_many_findings_is_shortened(folder: Path) -> None:
    """It shows the first findings, and the number of the others."""
    record = images(files=[None] * 40)
    page = render(report([record]), folder)

    assert page.count('class="compared"') == 16
    assert "and 24 more images in <code>report.json</code>" in page
    assert len(record.record["differences"]) == 40


def test_an_unwritable_page_is_an_error(tmp_path: Path) -> None:
    """The folder can be deleted during the run."""
    with pytest.raises(ReportError, match=r"index\.html cannot be written: No such file or directory"):
        write_page(tmp_path / "gone", report([]))
