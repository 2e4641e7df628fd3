"""The test that is running, for assertions that a test calls as plain functions."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pytest_diffopt.session.artifacts import Artifacts
from pytest_diffopt.session.first_use import announce_use
from pytest_diffopt.session.ledger import LedgerEntry
from pytest_diffopt.session.pipeline_lifetimes import WatchedPipelines
from pytest_diffopt.session.progress import ProgressCallback, no_progress
from pytest_diffopt.session.settings import Settings


@dataclass(kw_only=True, slots=True)
class ActiveTest:
    """A running test, as its assertions see it.

    Attributes:
        nodeid: pytest's node id; empty outside pytest.
        settings: the settings of the session.
        pipelines: the watched pipelines of the session.
        recipe_text: the recipe that the test's marker names; empty without one.
        fixtures: returns the values of the test's fixtures that are set up, by name.
        entries: verdicts that no report carries yet.
        rerun: pytest's arguments that run this test alone in any process; empty outside pytest.
        second_process_calls: how many calls of the test asked for a second process so far.
        artifacts: where the test's image files go.
        progress: shows a line while something takes long.
    """

    nodeid: str = ""
    settings: Settings = field(default_factory=Settings)
    pipelines: WatchedPipelines = field(default_factory=WatchedPipelines)
    recipe_text: str = ""
    fixtures: Callable[[], Mapping[str, Any]] = dict
    entries: list[LedgerEntry] = field(default_factory=list)
    rerun: tuple[str, ...] = ()
    second_process_calls: int = 0
    artifacts: Artifacts = field(default_factory=Artifacts)
    progress: ProgressCallback = no_progress

    def take_entries(self) -> list[LedgerEntry]:
        """Return and remove the verdicts that no report carries yet."""
        taken, self.entries = self.entries, []
        return taken


class _Running:
    """The running test of this process, which runs one at a time; seen by all threads and tasks that it starts."""

    test: ActiveTest | None = None


_OUTSIDE_PYTEST = ActiveTest()


def active_test() -> ActiveTest:
    """Return the running test; outside pytest, a stand-in whose verdicts no report shows."""
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
