"""A run with xdist workers has the same verdicts as one process."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("xdist")

# Does not use diffusers, which is slow to import in each worker.
MANY = """
import numpy as np
import pytest
from pytest_diffopt import assert_images_similar, assert_repeatable

IMAGE = np.linspace(0, 1, 16 * 16 * 3).reshape(1, 16, 16, 3)

def draw():
    return IMAGE

def test_good():
    assert_repeatable(draw)
    assert_images_similar(draw(), IMAGE)

def test_bad():
    assert_images_similar(1 - draw(), IMAGE)

@pytest.mark.diffopt(pipeline="sdxl", recipe=["fp32", "bf16"])
def test_named(diffopt_pipeline, diffopt_recipe):
    pass
"""


def verdicts(report: Path) -> Sequence[dict[str, Any]]:
    """Return the sorted verdicts of a report, independent of scheduling and of the report's folder."""
    text = report.read_text(encoding="utf-8").replace(str(report.parent), "report")
    found = json.loads(text)["verdicts"]
    return sorted(found, key=lambda entry: (entry["nodeid"], entry["verdict"]["concern"]))


@pytest.mark.usefixtures("warm_processes")
def test_two_workers_give_the_same_verdicts(project: pytest.Pytester) -> None:
    """Report and table of the controller equal those of one process; workers write none."""
    project.makepyfile(test_it=MANY)
    alone = project.runpytest_inprocess("--diffopt-report=alone")
    spread = project.runpytest_subprocess(
        "-p", "xdist", "-n", "2", "-p", "no:benchmark", "--diffopt-report=spread", timeout=600
    )

    alone.assert_outcomes(passed=3, failed=1)
    spread.assert_outcomes(passed=3, failed=1)
    assert verdicts(project.path / "alone/report.json") == verdicts(project.path / "spread/report.json")
    spread.stdout.fnmatch_lines(
        [
            "regressed  images  images    SSIM -0.*, PSNR * dB, FLIP *",
            "3 verdicts: 2 passed, 1 regressed",
        ],
        consecutive=True,
    )
