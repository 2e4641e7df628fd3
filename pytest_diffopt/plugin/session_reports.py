"""Test reports enter the ledger; at the end of the session it is shown and written."""

import os
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pytest

from pytest_diffopt.errors import DiffoptError
from pytest_diffopt.plugin.broken_tests import broken_test
from pytest_diffopt.plugin.session_header import SessionHeader
from pytest_diffopt.reports.github_run import github_run
from pytest_diffopt.session.ledger import CARRIED, CARRIED_CASE, CaseResult, ledger_of
from pytest_diffopt.session.settings import settings_of

if TYPE_CHECKING:
    from pytest_diffopt.plugin.session_output import SessionOutput


class SessionReports:
    """A plugin object, because pytest's reporting hooks do not receive the config."""

    def __init__(self, config: pytest.Config, header: SessionHeader) -> None:
        self._config = config
        self._header = header
        self._ledger = ledger_of(config)

    @cached_property
    def _output(self) -> "SessionOutput":
        from pytest_diffopt.plugin.session_output import SessionOutput  # noqa: PLC0415 - Jinja and the HTML report

        return SessionOutput(self._config)

    @property
    def _has_output(self) -> bool:
        """Whether there is anything to show or write; a session of other people's tests has nothing."""
        ledger = self._ledger
        return bool(ledger.entries or ledger.cases or ledger.lost_workers) or asks_for_output(self._config)

    def pytest_sessionstart(self) -> None:
        """Refuse output that could not be written at the end, before the tests run."""
        try:
            if asks_for_output(self._config):
                self._output.prepare()
        except DiffoptError as error:
            msg = f"diffopt: {error}"
            raise pytest.UsageError(msg) from error

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Enter the verdicts and the result that a test report carries, from this process or from an xdist worker."""
        carried, case = vars(report).get(CARRIED), vars(report).get(CARRIED_CASE)
        if carried:
            from pytest_diffopt.session.ledger_entries import from_plain  # noqa: PLC0415 - imports msgspec

            self._ledger.entries.extend(from_plain(carried))
        if case:
            self._ledger.cases[case["nodeid"]] = CaseResult(**case)
        if report.failed:
            self._note_failure(report, num_entries=len(carried or ()))

    def _note_failure(self, report: pytest.TestReport, *, num_entries: int) -> None:
        """Enter a failed test, unless a verdict that came with its report explains the failure."""
        entries = self._ledger.entries
        if not any(entry.verdict.is_failure for entry in entries[len(entries) - num_entries :]):
            self._ledger.broken.append(broken_test(report))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Enter a file whose tests could not be collected."""
        if report.failed:
            self._ledger.broken.append(broken_test(report))

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object | None) -> None:
        """Enter an xdist worker that ended before its tests did."""
        if error is not None:
            self._ledger.lost_workers.append(f"{node.gateway.id}: {error}")

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Show every failed verdict (with `-v` every verdict) and every unmet requirement."""
        if self._has_output:
            self._output.show(terminalreporter, self._header.take())

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write what was asked for, and fail a session that proved less than it had to."""
        if self._has_output:
            self._output.write(session)


def asks_for_output(config: pytest.Config) -> bool:
    """Return whether the settings or the environment ask for a report, a summary, a comparison or a requirement."""
    settings = settings_of(config)
    asked = (settings.report_folder, settings.summary_file, settings.required, settings.base)
    return any(asked) or settings.use_gpu or github_run(os.environ).is_active
