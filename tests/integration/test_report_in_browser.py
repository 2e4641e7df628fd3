"""The page in a browser: color of the banner, light and dark mode, with and without its script."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pytest_diffopt.reports.page.rendering import write_page
from tests.unit.reports.report_examples import ON_GPU, SDXL, clean, draw_images, full_report, report
from tools.browser import content_after_scripts, take_image

pytestmark = pytest.mark.needs("browser")

LIGHT_RED, LIGHT_GREEN, DARK_RED = (0xC0, 0x26, 0x1C), (0x1A, 0x7F, 0x37), (0xFF, 0x7B, 0x72)
LIGHT_PAGE, DARK_PAGE = (0xF6, 0xF7, 0xF9), (0x0E, 0x11, 0x16)
FAILING = """
import numpy as np
import pytest
from pytest_diffopt import assert_images_similar, assert_no_syncs, assert_repeatable

ROW, COLUMN = np.mgrid[0:64, 0:64] / 64
DISC = (ROW - 0.5) ** 2 + (COLUMN - 0.5) ** 2 < 0.09
IMAGE = np.stack([0.25 + 0.6 * DISC, 0.3 + 0.3 * ROW, 0.75 - 0.5 * DISC], axis=-1)[None]

@pytest.mark.diffopt(recipe="fp32")
def test_good(optimized_pipeline, pipeline_inputs):
    assert_repeatable(optimized_pipeline, **pipeline_inputs)

def test_image(optimized_pipeline):
    assert_images_similar(np.roll(IMAGE, 12, axis=2), IMAGE)

def test_denoise_loop_never_syncs(optimized_pipeline, pipeline_inputs, monkeypatch):
    step = type(optimized_pipeline).step

    def syncing_step(self, latents, timestep, num_inference_steps):
        assert float(latents.mean()) < 1000
        return step(self, latents, timestep, num_inference_steps)

    monkeypatch.setattr(type(optimized_pipeline), "step", syncing_step)
    assert_no_syncs(optimized_pipeline, **pipeline_inputs)

@pytest.mark.gpu
def test_on_a_gpu(optimized_pipeline):
    pass
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the page of a report with every kind of finding."""
    folder = tmp_path_factory.mktemp("report")
    return write_page(folder, full_report([draw_images(folder)]))


def pixel(image: Path, x: int, y: int) -> tuple[int, int, int]:
    """Return the color of one pixel."""
    with Image.open(image) as opened:
        red, green, blue = opened.convert("RGB").crop((x, y, x + 1, y + 1)).tobytes()
    return red, green, blue


def test_the_page_of_a_failing_run_has_a_red_banner_and_images(
    own_pipeline: pytest.Pytester, record_property: Callable[[str, object], None]
) -> None:
    """The page is written by a pytest run, and rendered by the browser.

    The screenshot is kept in pytest's temporary folder; its path is a property of this test.
    """
    own_pipeline.makepyfile(test_it=FAILING)
    own_pipeline.runpytest_inprocess("--diffopt-report=report").assert_outcomes(passed=1, failed=2, skipped=1)
    target = own_pipeline.path / "page.png"
    take_image(own_pipeline.path / "report/index.html", target, width=1280, height=2000)
    record_property("screenshot", str(target))

    assert pixel(target, 640, 2) == LIGHT_RED
    with Image.open(target) as opened:
        assert opened.size == (1280, 2000)
        reds_and_blues = np.asarray(opened.convert("RGB")).reshape(-1, 3)[:, ::2]
    shown = np.unique(reds_and_blues, axis=0).tolist()
    assert [217, 64] in shown  # the disc of the reference
    assert [64, 191] in shown  # the disc of the image


def test_the_page_of_a_passing_run_has_a_green_banner(tmp_path: Path) -> None:
    """The color of the banner is the state of the run."""
    target = tmp_path / "page.png"
    take_image(write_page(tmp_path, report(clean(SDXL, ON_GPU))), target, width=1280, height=600)

    assert pixel(target, 640, 2) == LIGHT_GREEN


def test_dark_mode_has_its_own_colors(page: Path, tmp_path: Path) -> None:
    """The same file has a light and a dark color scheme."""
    light, dark = tmp_path / "light.png", tmp_path / "dark.png"
    take_image(page, light, width=1280, height=600)
    take_image(page, dark, width=1280, height=600, is_dark=True)

    assert (pixel(light, 640, 2), pixel(light, 5, 500)) == (LIGHT_RED, LIGHT_PAGE)
    assert (pixel(dark, 640, 2), pixel(dark, 5, 500)) == (DARK_RED, DARK_PAGE)


def test_the_page_fits_a_narrow_screen(page: Path, tmp_path: Path) -> None:
    """No content overflows: the outermost columns have the background color of the page."""
    target = tmp_path / "narrow.png"
    take_image(page, target, width=500, height=3000)

    assert {pixel(target, 498, y) for y in range(300, 3000, 10)} == {LIGHT_PAGE}


def test_the_script_adds_a_search_and_a_slider(page: Path) -> None:
    """The content security policy allows the script."""
    content = content_after_scripts(page)

    assert '<figure class="slider">' in content
    assert 'class="controls" id="controls">' in content


def test_without_its_script_the_page_is_complete(page: Path, tmp_path: Path) -> None:
    """Every case and image is shown, and controls that need the script are hidden."""
    plain = tmp_path / "plain.html"
    plain.write_text(
        page.read_text(encoding="utf-8").replace("<script>", '<script type="text/plain">'), encoding="utf-8"
    )
    content = content_after_scripts(plain)

    assert '<figure class="slider">' not in content
    assert 'class="controls" id="controls" hidden' in content
    assert content.count("<img ") == 3
    assert content.count('<details class="case') == 32


def test_an_injected_script_does_not_run(page: Path, tmp_path: Path) -> None:
    """The content security policy blocks it, and the page's own script runs."""
    text = page.read_text(encoding="utf-8")
    hostile = tmp_path / "hostile.html"
    hostile.write_text(text.replace("</main>", "<script>document.title = 'taken'</script></main>"), encoding="utf-8")
    content = content_after_scripts(hostile)

    assert "<title>taken</title>" not in content
    assert '<figure class="slider">' in content
