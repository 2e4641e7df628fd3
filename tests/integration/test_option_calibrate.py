"""`--diffopt-calibrate`: the same code is timed against itself, and the paired gate's sensitivity is reported."""

import json

import pytest

PROJECT = """
import os
from pathlib import Path
import paced_time

def test_latency(latency_baseline):
    with Path("starts").open("a") as file:
        file.write(".")
    starts = Path("starts").stat().st_size
    latency_baseline.check(paced_time.sleep, {seconds})
"""


@pytest.mark.usefixtures("warm_processes")
def test_a_machine_is_calibrated_without_git(paced: pytest.Pytester) -> None:
    """Fresh pairs of processes are timed; the figures are printed and stored in the environment of the report."""
    paced.makepyfile(test_it=PROJECT.format(seconds="0.01 + 0.00001 * (starts * 5 % 7)"))
    result = paced.runpytest_inprocess("--diffopt-calibrate", "--diffopt-max-seconds=12", "--diffopt-report=out")

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        [
            "test_it.py::test_latency: calibrated: 12 pairs of processes differ by * % (at most * %), "
            "false alarms below * %, detects * % (at most * %) at a margin of 1 %; recommended margin * %; "
            "each limit at 95 % confidence"
        ]
    )
    assert len((paced.path / "starts").read_text()) == 24
    report = json.loads((paced.path / "out" / "report.json").read_text())
    figures = report["shards"][0]["environment"]["calibration"]["test_it.py::test_latency"]
    assert figures["margin"] == 0.01
    assert figures["process_pairs"] == 12
    assert figures["blocks"] == 12 * 8


@pytest.mark.usefixtures("warm_processes")
def test_a_clock_without_spread_calibrates_nothing(paced: pytest.Pytester) -> None:
    """Calls that always take the same time show no difference of processes, so nothing is recommended."""
    paced.makepyfile(test_it=PROJECT.format(seconds=0.01))
    result = paced.runpytest_inprocess("--diffopt-calibrate", "--diffopt-max-seconds=1")

    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(
        ["inconclusive  latency  sleep *  not calibrated: no spread between pairs of processes was seen"]
    )
    assert "recommended" not in result.stdout.str()


def test_a_revision_is_refused(project: pytest.Pytester) -> None:
    """The code is compared with itself."""
    result = project.runpytest_inprocess("--diffopt-calibrate", "--diffopt-against=HEAD")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--diffopt-calibrate compares the same code with itself; remove --diffopt-against*"])
