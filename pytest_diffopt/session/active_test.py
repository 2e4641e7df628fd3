"""The test that is running, for assertions that a test calls as plain functions."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_diffopt.guards.failed_assertion import DiffoptAssertionError
from pytest_diffopt.guards.verdict import Verdict
from pytest_diffopt.session.artifacts import Artifacts
from pytest_diffopt.session.first_use import announce_use
from pytest_diffopt.session.ledger import LedgerEntry
from pytest_diffopt.session.pipeline_lifetimes import WatchedPipelines
from pytest_diffopt.session.progress import ProgressCallback, no_progress
from pytest_diffopt.session.second_process import SecondProcess
from pytest_diffopt.session.settings import Settings

# The modules whose code receives an exception that the function of a thread does not handle.
_THREAD_MODULES = frozenset({"threading", "concurrent.futures.thread"})


@dataclass(kw_only=True, slots=True)
class ActiveTest:
    """A running test, as its assertions see it.

    Attributes:
        nodeid: pytest's node id; empty outside pytest.
        settings: the settings of the session.
        pipelines: the watched pipelines of the session.
        recipe_text: the recipe that the test's marker names; empty without one.
        fixtures: returns the values of the test's fixtures that are set up, by name.
        keeps_verdicts: whether a report takes the verdicts; nothing takes them outside pytest.
        entries: verdicts that no report carries yet.
        concluded: every verdict of this attempt.
        unproven: the verdicts of this attempt that proved nothing, each as the error that fails the test.
        raised: the verdicts that end the present phase of the test from outside of its function.
        second_process: returns how pytest runs this test alone in another process, given a folder for its temporary
            files; None outside pytest.
        second_process_calls: how many calls of this attempt asked for a second process so far.
        counted_calls: how many calls of this attempt could have been counted so far.
        artifacts: where the test's image files go.
        progress: shows a line while something takes long.
    """

    nodeid: str = ""
    settings: Settings = field(default_factory=Settings)
    pipelines: WatchedPipelines = field(default_factory=WatchedPipelines)
    recipe_text: str = ""
    fixtures: Callable[[], Mapping[str, Any]] = dict
    keeps_verdicts: bool = True
    entries: list[LedgerEntry] = field(default_factory=list)
    concluded: list[Verdict] = field(default_factory=list)
    unproven: list[DiffoptAssertionError] = field(default_factory=list)
    raised: list[Verdict] = field(default_factory=list)
    second_process: Callable[[Path], SecondProcess] | None = None
    second_process_calls: int = 0
    counted_calls: int = 0
    artifacts: Artifacts = field(default_factory=Artifacts)
    progress: ProgressCallback = no_progress
    _thread_failures: list[DiffoptAssertionError] = field(default_factory=list)

    def begin_attempt(self) -> None:
        """Forget a previous attempt to run the test: a plugin runs it again."""
        for findings in (self.entries, self.concluded, self.unproven, self.raised, self._thread_failures):
            findings.clear()
        self.second_process_calls = self.counted_calls = 0

    def enter(self, entry: LedgerEntry) -> None:
        """Keep a verdict until the next report of the test carries it."""
        self.entries.append(entry)
        self.concluded.append(entry.verdict)

    def take_entries(self) -> list[LedgerEntry]:
        """Return and remove the verdicts that no report carries yet."""
        taken, self.entries = self.entries, []
        return taken

    def note_failure(self, error: DiffoptAssertionError) -> None:
        """Keep the error of a verdict in another thread, which may end without anybody seeing the error."""
        if threading.current_thread() is not threading.main_thread() and self.keeps_verdicts:
            self._thread_failures.append(error)

    def take_failures_lost_in_threads(self) -> list[DiffoptAssertionError]:
        """Return and remove the errors that left the function of a thread and were raised nowhere else."""
        failures, self._thread_failures = self._thread_failures, []
        return [error for error in failures if _left_its_thread(error)]


def _left_its_thread(error: DiffoptAssertionError) -> bool:
    """Return whether the outermost function that an error left so far is that of a thread and not the user's."""
    outermost = error.__traceback__
    return outermost is not None and outermost.tb_frame.f_globals.get("__name__") in _THREAD_MODULES


class _Running:
    """The running test of this process, which runs one at a time; seen by all threads and tasks that it starts.

    No context variable: a thread does not inherit one, and an event loop keeps that of the test that started it.
    """

    test: ActiveTest | None = None


_OUTSIDE_PYTEST = ActiveTest(keeps_verdicts=False)


def active_test() -> ActiveTest:
    """Return the running test; outside pytest, a stand-in that keeps no verdicts."""
    if _Running.test is None:
        announce_use()
    return _Running.test or _OUTSIDE_PYTEST


@contextmanager
def running(test: ActiveTest) -> Iterator[None]:
    """Make this the active test while the block runs."""
    outer, _Running.test = _Running.test, test
    try:
        yield
    finally:
        _Running.test = outer
