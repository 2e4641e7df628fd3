"""`--diffopt-prune`: remove the baselines that no test owns any more, and nothing else."""

from collections.abc import Sequence

import pytest

from pytest_diffopt import stash
from pytest_diffopt.baselines import BaselineKey
from pytest_diffopt.cases import case_of, owns_baseline
from pytest_diffopt.errors import BaselineError
from pytest_diffopt.guards.explain import counted
from pytest_diffopt.reports.header import shown_path

_WHOLE_FILES = "--diffopt-prune takes what is not collected for gone, so it needs whole test files"


class Pruning:
    """A plugin object of its own: it has to remember whether tests were deselected."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._removed: list[str] = []
        self._num_deselected = 0

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """Remember that the collection is not whole."""
        self._num_deselected += len(items)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Remove what no collected test owns.

        Raises:
            pytest.UsageError: some tests were left out, so what they own would be taken for gone.
        """
        self._refuse_partial_collection(session)
        cases = [case_of(item) for item in session.items]
        owners = [case_of(item) for item in session.items if owns_baseline(item)]
        keys = [BaselineKey(device_slug="", suite=case.suite, case=case.name) for case in owners]
        try:
            removed = stash.store_of(self._config).prune(keys, {case.suite for case in cases})
        except BaselineError as error:
            msg = f"diffopt: {error}"
            raise pytest.UsageError(msg) from error
        self._removed = [shown_path(path, self._config.rootpath) for path in removed]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Name what was removed."""
        terminalreporter.section("diffopt: pruned baselines")
        for path in self._removed:
            terminalreporter.write_line(f"removed {path}")
        terminalreporter.write_line(f"{counted(len(self._removed), 'baseline')} removed")

    def _refuse_partial_collection(self, session: pytest.Session) -> None:
        reason = ""
        if self._num_deselected:
            reason = f"{counted(self._num_deselected, 'test')} deselected (-k, -m, --deselect, --lf)"
        elif any("::" in argument for argument in self._config.args):
            reason = "single tests named on the command line"
        elif session.testsfailed:
            reason = f"{counted(session.testsfailed, 'error')} during collection"
        elif self._config.getoption("numprocesses", default=None):
            reason = "tests spread over workers (-n)"
        if reason:
            msg = f"diffopt: {_WHOLE_FILES}, got: {reason}"
            raise pytest.UsageError(msg)
