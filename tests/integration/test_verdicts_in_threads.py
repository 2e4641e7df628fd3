"""Verdicts of threads and of asyncio tests reach their test."""

import pytest

THREADS = """
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from injected_verdicts import proves_nothing, syncs, takes

def in_thread(function, *args):
    thread = threading.Thread(target=function, args=args)
    thread.start()
    thread.join()

def test_pass():
    in_thread(takes, 100)

@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_lost_in_a_thread():
    in_thread(takes, 120)

def slow():
    takes(120)

def test_lost_in_a_pool():
    with ThreadPoolExecutor() as pool:
        pool.submit(slow)

def test_raised_by_a_pool():
    with ThreadPoolExecutor() as pool:
        pool.submit(takes, 120).result()

def test_expected_from_a_pool():
    with ThreadPoolExecutor() as pool, pytest.raises(AssertionError):
        pool.submit(takes, 120).result()

def test_expected_in_a_thread():
    def caught():
        with pytest.raises(AssertionError):
            takes(120)

    in_thread(caught)

def test_unproven():
    in_thread(proves_nothing)
"""
ASYNCIO = """
import asyncio
import unittest

import pytest
from injected_verdicts import proves_nothing, syncs, takes

@pytest.fixture
def anyio_backend():
    return "asyncio"

async def judge(milliseconds):
    await asyncio.sleep(0)
    takes(milliseconds)

{mark}
async def test_pass():
    await judge(100)

{mark}
async def test_fail():
    await asyncio.gather(judge(100), judge(120))

{mark}
async def test_expected():
    with pytest.raises(AssertionError):
        await asyncio.create_task(judge(120))

{mark}
async def test_in_a_thread():
    await asyncio.to_thread(takes, 120)

class TestCase(unittest.IsolatedAsyncioTestCase):
    async def test_method(self):
        await judge(120)
"""
OUTCOMES = [
    "test_it.py::test_pass PASSED",
    "test_it.py::test_lost_in_a_thread FAILED",
    "test_it.py::test_lost_in_a_pool FAILED",
    "test_it.py::test_raised_by_a_pool FAILED",
    "test_it.py::test_expected_from_a_pool PASSED",
    "test_it.py::test_expected_in_a_thread PASSED",
    "test_it.py::test_unproven SKIPPED",
]


def test_a_verdict_of_a_thread_reaches_the_test(injected: pytest.Pytester) -> None:
    """A failure fails the test even if the thread ends with it; one that the user's code catches was expected."""
    injected.makepyfile(test_it=THREADS)
    result = injected.runpytest_inprocess("-v")

    assert [line[: len(known)] for line, known in zip(_tests(result), OUTCOMES, strict=True)] == OUTCOMES
    result.stdout.fnmatch_lines(
        [
            "5 verdicts: 1 passed, 3 regressed, 1 incomparable",
            "2 failed verdicts that a test expected (pytest.raises, xfail): not counted",
        ],
        consecutive=True,
    )


def test_a_lost_failure_shows_its_line(injected: pytest.Pytester) -> None:
    """The line of the thread's function; nothing of the thread's own code."""
    injected.makepyfile(test_it=THREADS)
    result = injected.runpytest_inprocess("-k", "lost_in_a_pool")

    result.stdout.fnmatch_lines(["diffopt: the call became 20.0 % slower: *"])
    result.stdout.fnmatch_lines(["test_it.py:*: in slow", "    takes(120)", "*= diffopt =*"], consecutive=True)


def test_an_asyncio_test_has_its_verdicts(injected: pytest.Pytester) -> None:
    """With anyio's plugin and with unittest; tasks and threads that the test awaits belong to it."""
    pytest.importorskip("anyio")
    injected.makepyfile(test_it=ASYNCIO.format(mark="@pytest.mark.anyio"))
    result = injected.runpytest_inprocess()

    result.assert_outcomes(passed=2, failed=3)
    result.stdout.fnmatch_lines(["5 verdicts: 2 passed, 3 regressed"])


def _tests(result: pytest.RunResult) -> list[str]:
    return [line for line in result.outlines if line.startswith("test_it.py::")]
