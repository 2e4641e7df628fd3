"""A failed guard raises `DiffoptAssertionError`, which everything that handles an `AssertionError` handles."""

import pickle
import subprocess
import sys

import pytest

from pytest_diffopt import DiffoptAssertionError
from pytest_diffopt.guards.verdict import Outcome, Verdict
from pytest_diffopt.records import Concern, Subject

SYNCS = [
    "diffopt: the denoise loop synchronizes the CPU with the GPU: 1 sync per step (0 allowed)",
    "  1/step  .item()  own_pipeline.py:12  in gate  (read by the host)",
    "seen on the simulated GPU, step 1 of 4, pipeline own (weights: the user's own), recipe bf16",
    'to accept this: allow_syncs=[AllowedSyncs(where="own_pipeline.py:gate", per_step=1, first_step=0, reason="...")]',
]
CATCHES = """
import unittest
import pytest
from injected_verdicts import syncs, takes

def test_raises():
    with pytest.raises(AssertionError, match="1 sync") as caught:
        syncs(12)
    assert caught.value.verdict.outcome == "regressed"
    assert caught.value.verdict.figures

@pytest.mark.xfail(raises=AssertionError, strict=True)
def test_xfail():
    syncs(12)

class TestCase(unittest.TestCase):
    def test_assert_raises(self):
        with self.assertRaises(AssertionError):
            syncs(12)

def test_except():
    try:
        syncs(12)
    except Exception as error:
        assert isinstance(error, AssertionError)
"""
FAILS = """
import unittest
from injected_verdicts import syncs

def check(line):
    syncs(line)

def test_direct():
    syncs(12)

def test_in_a_helper():
    check(12)

class TestCase(unittest.TestCase):
    def test_method(self):
        syncs(12)
"""


def test_it_is_caught_like_any_assertion(injected: pytest.Pytester) -> None:
    """By `pytest.raises`, `xfail(raises=)`, `assertRaises` and `except Exception`."""
    injected.makepyfile(test_it=CATCHES)

    injected.runpytest_inprocess().assert_outcomes(passed=3, xfailed=1)


@pytest.mark.parametrize("style", ["auto", "long", "short", "native"])
def test_a_failure_shows_the_verdict_and_the_line(injected: pytest.Pytester, style: str) -> None:
    """No frame of the package is shown, in any style of tracebacks."""
    injected.makepyfile(test_it=FAILS)
    result = injected.runpytest_inprocess(f"--tb={style}")

    result.assert_outcomes(failed=3)
    for line, function, source in (
        (8, "test_direct", "syncs(12)"),
        (5, "check", "syncs(line)"),
        (15, "test_method", "syncs(12)"),
    ):
        shown = [*SYNCS, "", f"test_it.py:{line}: in {function}", f"    {source}"]
        assert "\n".join(shown) in str(result.stdout)
    result.stdout.no_fnmatch_line("*conclusion*")
    result.stdout.fnmatch_lines(["FAILED test_it.py::test_direct - diffopt: the denoise loop synchronizes *"])


def test_a_test_without_a_source_file_fails_like_any_other(injected: pytest.Pytester) -> None:
    """Its code was generated: the place is shown without its line of source."""
    injected.makepyfile(
        test_it="""
        from injected_verdicts import syncs

        exec(compile("def test_it():\\n    syncs(12)", "<generated>", "exec"))
        """
    )
    result = injected.runpytest_inprocess()

    result.assert_outcomes(failed=1)
    assert "\n".join([*SYNCS, "", "<generated>:2: in test_it"]) in str(result.stdout)


def test_xdist_shows_the_same(injected: pytest.Pytester) -> None:
    """The worker's report has the verdict, the line and the headline."""
    pytest.importorskip("xdist")
    injected.makepyfile(test_it=FAILS)
    result = injected.runpytest_subprocess("-n", "1", "-p", "no:benchmark", timeout=600)

    shown = [*SYNCS, "", "test_it.py:5: in check", "    syncs(line)"]
    assert "\n".join(shown) in str(result.stdout)
    result.stdout.fnmatch_lines(["FAILED test_it.py::test_in_a_helper - diffopt: the denoise loop *"])


def test_one_line_per_failure(injected: pytest.Pytester) -> None:
    """`--tb=line` shows the user's line with the headline."""
    injected.makepyfile(test_it=FAILS)
    result = injected.runpytest_inprocess("--tb=line", "-k", "direct")

    result.stdout.fnmatch_lines([f"{injected.path}/test_it.py:8: {SYNCS[0]}"])


def test_the_full_trace_has_every_frame(injected: pytest.Pytester) -> None:
    """`--full-trace` is for those who debug this package."""
    injected.makepyfile(test_it=FAILS)
    result = injected.runpytest_inprocess("--full-trace", "-k", "direct")

    result.stdout.fnmatch_lines(["*conclusion.py:*: DiffoptAssertionError"])


def test_an_error_raised_from_it_keeps_its_own_traceback(injected: pytest.Pytester) -> None:
    """The user's error is shown, and below it the verdict without the package's frames."""
    injected.makepyfile(
        test_it="""
        from injected_verdicts import syncs

        def test_it():
            try:
                syncs(12)
            except AssertionError as error:
                raise RuntimeError("no release today") from error
        """
    )
    result = injected.runpytest_inprocess()

    result.stdout.fnmatch_lines([f"E   *DiffoptAssertionError: {SYNCS[0]}", "E   *RuntimeError: no release today"])
    result.stdout.no_fnmatch_line("*conclusion.py*")
    result.stdout.fnmatch_lines(["1 verdict: 1 regressed"])


def test_a_misuse_is_shown_as_its_message_and_can_be_expected(project: pytest.Pytester) -> None:
    """Errors of this package are errors of their own types, in the test and in fixtures."""
    project.makepyfile(
        test_it="""
        import pytest
        from pytest_diffopt import assert_faster
        from pytest_diffopt.errors import PipelineError, ProbeError

        def test_bad():
            assert_faster(len, len, by=-1)

        @pytest.mark.xfail(raises=ProbeError, strict=True)
        def test_expected():
            assert_faster(len, len, by=-1)

        @pytest.fixture
        def broken():
            raise PipelineError("no such pipeline")

        def test_fixture(broken):
            pass
        """
    )
    result = project.runpytest_inprocess()

    result.assert_outcomes(failed=1, xfailed=1, errors=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: no such pipeline",
            "",
            "test_it.py:14: in broken",
            '    raise PipelineError("no such pipeline")',
        ],
        consecutive=True,
    )
    result.stdout.fnmatch_lines(
        [
            "diffopt: assert_faster(by=...) must be a positive number, got: -1",
            "",
            "test_it.py:6: in test_bad",
            "    assert_faster(len, len, by=-1)",
        ],
        consecutive=True,
    )


def test_it_reaches_the_process_that_asked_for_it() -> None:
    """A process pool pickles errors."""
    verdict = Verdict(
        concern=Concern.SYNCS, outcome=Outcome.REGRESSED, subject=Subject(pipeline="own"), summary="1 sync"
    )
    error = pickle.loads(pickle.dumps(DiffoptAssertionError("diffopt: 1 sync", verdict)))  # noqa: S301

    assert (str(error), error.verdict) == ("diffopt: 1 sync", verdict)


SCRIPT = """
import injected_verdicts
from pytest_diffopt.session import active_test

for _ in range(100):
    injected_verdicts.takes(100)
    try:
        injected_verdicts.takes(120)
    except Exception as error:
        failed = error
    try:
        injected_verdicts.proves_nothing()
    except AssertionError as error:
        unproven = error

outside = active_test.active_test()
print(outside.entries, outside.concluded, outside.unproven, outside.take_failures_lost_in_threads())
print(type(failed).__name__, failed.verdict.outcome)
print(type(unproven).__name__, unproven.verdict.outcome)
injected_verdicts.syncs(12)
"""


def test_a_script_sees_it_and_keeps_nothing(injected: pytest.Pytester) -> None:
    """Outside pytest a verdict that proves nothing raises too, and no verdict is kept."""
    script = injected.makepyfile(script=SCRIPT)
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=False, timeout=600, cwd=injected.path
    )

    assert done.stdout.splitlines() == [
        "[] [] [] []",
        "DiffoptAssertionError regressed",
        "DiffoptAssertionError incomparable",
    ]
    assert done.returncode == 1
    assert f"pytest_diffopt.DiffoptAssertionError: {SYNCS[0]}" in done.stderr
