"""`--diffopt-calibrate`: the same code is timed against itself, and the paired gate's sensitivity is reported."""

import json

import pytest

PROJECT = """
import paced_time

def test_latency(latency_baseline):
    latency_baseline.check(paced_time.sleep, 0.01)
"""


@pytest.mark.usefixtures("warm_processes")
def test_a_machine_is_calibrated_without_git(paced: pytest.Pytester) -> None:
    """Six pairs of processes are timed; the figures are printed and stored in the environment of the report."""
    paced.makepyfile(test_it=PROJECT)
    result = paced.runpytest_inprocess("--diffopt-calibrate", "--diffopt-max-seconds=12", "--diffopt-report=out")

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        ["test_it.py::test_latency: calibrated: false alarms *, detects * in 12 s at a margin of 1 %*"]
    )
    report = json.loads((paced.path / "out" / "report.json").read_text())
    figures = report["shards"][0]["environment"]["calibration"]["test_it.py::test_latency"]
    assert figures["margin"] == 0.01
    assert figures["blocks"] == 6 * 16


def test_a_revision_is_refused(project: pytest.Pytester) -> None:
    """The code is compared with itself."""
    result = project.runpytest_inprocess("--diffopt-calibrate", "--diffopt-against=HEAD")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--diffopt-calibrate compares the same code with itself; remove --diffopt-against*"])
