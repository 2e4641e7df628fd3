"""Take the screenshot of a failed run's report for the documentation: `python -m tools.report_image`.

Pytest runs a tiny pipeline with injected faults, and a browser renders the page of its report.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from tools.browser import take_image

_FAILING = '''
"""Faults injected into the tiny Stable Diffusion pipeline."""

import pytest
from pytest_diffopt import (
    assert_no_syncs,
    assert_optimizations_applied,
    assert_repeatable,
    assert_same_images,
)

pytestmark = pytest.mark.diffopt(pipeline="sd15", recipe="bf16 + sdpa + channels_last")


def test_denoise_loop_never_syncs(optimized_pipeline, pipeline_inputs):
    """The scheduler, as published, syncs in the denoise loop."""
    assert_no_syncs(optimized_pipeline, **pipeline_inputs)


def test_same_image_twice(optimized_pipeline, pipeline_inputs):
    """This test passes."""
    assert_repeatable(optimized_pipeline, **pipeline_inputs)


def test_every_optimization_is_applied(optimized_pipeline):
    """One layer is reset to the default memory format."""
    convolution = optimized_pipeline.unet.conv_in
    convolution.weight.data = convolution.weight.data.contiguous()
    assert_optimizations_applied(optimized_pipeline)


def test_image(optimized_pipeline, reference_pipeline, pipeline_inputs, monkeypatch):
    """The prediction is scaled by 1.1."""
    unet = optimized_pipeline.unet
    forward = unet.forward
    monkeypatch.setattr(unet, "forward", lambda *args, **inputs: (1.1 * forward(*args, **inputs)[0],))
    assert_same_images(optimized_pipeline, reference_pipeline, **pipeline_inputs)


@pytest.mark.gpu
def test_latency(optimized_pipeline, pipeline_inputs, latency_baseline):
    """This test is skipped without a GPU."""
    latency_baseline.check(optimized_pipeline, **pipeline_inputs)
'''


def main() -> None:
    """Run the tests, and take the screenshot of their report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("docs/report.png"))
    parser.add_argument("--height", type=int, default=1900)
    parser.add_argument("--dark", action="store_true", help="use dark mode")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "test_sd15.py").write_text(_FAILING, encoding="utf-8")
        (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--diffopt-report=report"]
        subprocess.run(command, cwd=folder, check=False)  # noqa: S603 - a fixed command; its tests fail
        page = folder / "report" / "index.html"
        take_image(page, options.output.resolve(), width=1280, height=options.height, is_dark=options.dark)


if __name__ == "__main__":
    main()
