"""A call that is slower than accepted fails. The test's own clock replaces the timer, so nothing is timed."""

import json
from pathlib import Path

import pytest

LATENCY = """
import itertools
import pytest
from pytest_diffopt import LatencyGate
from pytest_diffopt.probes import latency

@pytest.fixture(autouse=True)
def clock(monkeypatch):
    readings = itertools.count(step={call_ns})
    monkeypatch.setattr(latency.measure_latency, "__kwdefaults__", {{
        **latency.measure_latency.__kwdefaults__, "clock": lambda: next(readings)}})

def test_latency(optimized_pipeline, pipeline_inputs, latency_baseline):
    latency_baseline.check(optimized_pipeline, **pipeline_inputs)
"""
MS = 1_000_000


def run(project: pytest.Pytester, call_ns: int, *options: str) -> pytest.RunResult:
    """Run one latency test in which every call takes exactly this long."""
    project.makepyfile(test_it=LATENCY.format(call_ns=call_ns))
    return project.runpytest_inprocess("--tb=short", "--diffopt-max-seconds=1", *options)


def baseline(project: pytest.Pytester) -> Path:
    """Return the project's only baseline."""
    (path,) = (project.path / "baselines").rglob("*.json")
    return path


def test_a_missing_baseline_fails_with_the_command_that_accepts(own_pipeline: pytest.Pytester) -> None:
    """A latency without a baseline guards nothing, and nothing is written."""
    result = run(own_pipeline, 20 * MS)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: no latency baseline has been accepted: 20.0 ms, 150.0 steps/s",
            "seen on *, pipeline SmallPipeline (weights: the user's own)",
            "to accept it: pytest test_it.py::test_latency --diffopt-update missing",
        ],
        consecutive=True,
    )
    assert not (own_pipeline.path / "baselines").exists()


def test_an_accepted_latency_still_passes(own_pipeline: pytest.Pytester) -> None:
    """In the run that accepts it and in the next one, which writes nothing."""
    accepting = run(own_pipeline, 20 * MS, "--diffopt-update=missing")
    written = baseline(own_pipeline).read_bytes()
    later = run(own_pipeline, 20 * MS)

    accepting.assert_outcomes(passed=1)
    later.assert_outcomes(passed=1)
    assert baseline(own_pipeline).read_bytes() == written


def test_a_slower_call_fails(own_pipeline: pytest.Pytester) -> None:
    """A call past margin and floor fails with both figures and the command that accepts it."""
    run(own_pipeline, 20 * MS, "--diffopt-update=missing")
    result = run(own_pipeline, 23 * MS, "--diffopt-time-steps")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: the call became 15.0 % slower: 23.0 ms (21.0 ms allowed)",
            "  now           23.0 ms, median of * calls, spread 0.0 %",
            "  accepted      20.0 ms, median of 1 session",
            "  sessions      one cannot show how much sessions differ: --diffopt-update all adds more",
            "  change        3.00 ms (5.0 % or 1.00 ms allowed, whichever is larger)",
            "  per step      7.67 ms, accepted 6.67 ms (3 steps)",
            "  denoise loop  * of the call",
            "  steps         first *, each later one *",
            "  no count changed: the same operations take a different time, or the time is spent elsewhere",
            "seen on *, pipeline SmallPipeline (weights: the user's own)",
            "to accept this: pytest test_it.py::test_latency --diffopt-update all",
        ],
        consecutive=True,
    )


MORE_WORK = """
import small_pipeline

class UNet(small_pipeline.SmallUNet):
    def forward(self, latents, timestep):
        return super().forward(latents * 1.0, timestep)

@pytest.fixture
def optimized_pipeline():
    return small_pipeline.build(UNet)
"""


def test_a_slower_call_is_reported_with_its_additional_operations(own_pipeline: pytest.Pytester) -> None:
    """The counts at acceptance are stored in the baseline."""
    run(own_pipeline, 20 * MS, "--diffopt-update=missing")
    own_pipeline.makepyfile(test_it=LATENCY.format(call_ns=23 * MS) + MORE_WORK)
    result = own_pipeline.runpytest_inprocess("--tb=short", "--diffopt-max-seconds=1")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "  counts that changed, on the simulated GPU:",
            "    operations in step 0 *",
            "    bytes allocated in step 0 *",
            "    operations in steps 1-2 *",
        ],
    )


def test_a_faster_call_passes_and_is_shown(own_pipeline: pytest.Pytester) -> None:
    """An improvement passes, and the summary shows the command that keeps it."""
    run(own_pipeline, 20 * MS, "--diffopt-update=missing")
    result = run(own_pipeline, 10 * MS)

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["improved  latency  SmallPipeline*10.0 ms, 300.0 steps/s (-50.0 %)"])


def test_updating_all_adds_a_session_while_the_latency_is_unchanged(own_pipeline: pytest.Pytester) -> None:
    """One session does not show how much sessions differ, so an update of an unchanged latency keeps both."""
    run(own_pipeline, 20 * MS, "--diffopt-update=missing")
    run(own_pipeline, 20 * MS, "--diffopt-update=all")

    assert len(json.loads(baseline(own_pipeline).read_text())["sessions"]) == 2


def test_updating_all_starts_a_new_baseline_after_a_change(own_pipeline: pytest.Pytester) -> None:
    """Earlier sessions are not mixed with what is accepted now."""
    run(own_pipeline, 20 * MS, "--diffopt-update=missing")
    result = run(own_pipeline, 40 * MS, "--diffopt-update=all")

    result.assert_outcomes(passed=1)
    assert [max(session["samples_ns"]) for session in json.loads(baseline(own_pipeline).read_text())["sessions"]] == [
        40 * MS
    ]


def test_the_samples_are_in_pytest_benchmarks_table(own_pipeline: pytest.Pytester) -> None:
    """pytest-benchmark's table, JSON and comparison work with exactly these samples."""
    result = run(own_pipeline, 20 * MS, "--diffopt-update=missing")

    result.stdout.fnmatch_lines(["*benchmark: 1 tests*", "test_latency*20.0000*"])


def test_a_stopped_clock_is_refused(own_pipeline: pytest.Pytester) -> None:
    """An impossible time is an error, never a sample."""
    result = run(own_pipeline, 0)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["diffopt: the clock did not advance during a call: its times cannot be trusted"])


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ("", "diffopt: the baseline * cannot be trusted: it is not valid JSON: *"),
        ("{", "diffopt: the baseline * cannot be trusted: it is not valid JSON: *"),
        ('{"schema_version": 99}', "diffopt: the baseline *schema_version*99*"),
    ],
    ids=["empty", "truncated", "newer"],
)
def test_a_broken_baseline_is_an_error(own_pipeline: pytest.Pytester, broken: str, message: str) -> None:
    """A broken file is named, and never treated as a missing one."""
    run(own_pipeline, 20 * MS, "--diffopt-update=missing")
    baseline(own_pipeline).write_text(broken)
    result = run(own_pipeline, 20 * MS)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([message])
