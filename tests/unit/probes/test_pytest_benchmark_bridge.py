"""Tests of replaying samples to pytest-benchmark."""

import json

import pytest

pytest_plugins = ["pytester"]

SAMPLES_NS = [2_000_000_000, 1_999_999_999, 3, 7_000_001]
TEST = f"""
from pytest_diffopt.probes.pytest_benchmark_bridge import replay_samples

def test_latency(benchmark):
    timer = benchmark._timer
    replay_samples(benchmark, {SAMPLES_NS})
    assert benchmark._timer is timer
"""


@pytest.fixture
def bench(pytester: pytest.Pytester) -> pytest.Pytester:
    """Create a test that replays samples."""
    pytester.makepyfile(TEST)
    return pytester


def test_its_json_has_exactly_our_samples(bench: pytest.Pytester) -> None:
    """No sample is lost, added, reordered or rounded, and the timer has a descriptive name."""
    result = bench.runpytest("-p", "no:diffopt", "--benchmark-json=out.json")
    written = json.loads((bench.path / "out.json").read_text())["benchmarks"][0]

    result.assert_outcomes(passed=1)
    assert written["stats"]["data"] == [sample / 1e9 for sample in SAMPLES_NS]
    assert written["stats"]["rounds"] == len(SAMPLES_NS)
    assert written["stats"]["iterations"] == 1
    assert written["options"]["timer"] == "device_synchronized_clock"


def test_its_table_shows_our_samples(bench: pytest.Pytester) -> None:
    """With four rounds of one iteration."""
    result = bench.runpytest("-p", "no:diffopt")

    result.stdout.fnmatch_lines(["*benchmark: 1 tests*", "Name (time in *)*", "test_latency *4*1"])


@pytest.mark.parametrize("option", ["--benchmark-disable", "-n1"])
def test_nothing_is_recorded_when_it_is_disabled(bench: pytest.Pytester, option: str) -> None:
    """Under xdist and with `--benchmark-disable` the test passes, without a table or a warning."""
    result = bench.runpytest_subprocess("-p", "no:diffopt", option, "-W", "error:Benchmark fixture was not used")

    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*benchmark: 1 tests*")
