"""Test reports enter the ledger; at the end of the session it is shown and written."""

from functools import cached_property
from typing import TYPE_CHECKING, Any

import pytest

from pytest_diffopt.errors import DiffoptError
from pytest_diffopt.plugin.broken_tests import broken_test
from pytest_diffopt.plugin.session_header import SessionHeader
from pytest_diffopt.session.ledger import (
    CARRIED,
    CARRIED_CASE,
    CARRIED_EXPECTED,
    CARRIED_EXPLANATION,
    CaseResult,
    ledger_of,
)
from pytest_diffopt.session.settings import settings_of

if TYPE_CHECKING:
    from pytest_diffopt.plugin.session_output import SessionOutput


# pytest-rerunfailures and others give an attempt that is not the last another outcome.
_FINAL = frozenset({"passed", "failed", "skipped"})


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
        return bool(ledger.entries or ledger.cases or ledger.expected) or asks_for_output(self._config)

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
        if report.outcome not in _FINAL:  # a plugin runs the test again
            self._ledger.forget(report.nodeid)
            return
        carried = vars(report)
        if CARRIED in carried:
            from pytest_diffopt.session.ledger_entries import from_plain  # noqa: PLC0415 - imports msgspec

            self._ledger.entries.extend(from_plain(carried[CARRIED]))
        if CARRIED_CASE in carried:
            self._ledger.cases[report.nodeid] = CaseResult(**carried[CARRIED_CASE])
        if CARRIED_EXPECTED in carried:
            self._ledger.expected[report.nodeid] += carried[CARRIED_EXPECTED]
        if report.failed and not self._is_explained(report):
            self._ledger.broken.append(broken_test(report))

    def _is_explained(self, report: pytest.TestReport) -> bool:
        """Return whether a verdict in the ledger explains the failure: the report's own, or that of a subtest."""
        return CARRIED_EXPLANATION in vars(report) or (
            report.when == "call"
            and any(entry.nodeid == report.nodeid and entry.verdict.is_failure for entry in self._ledger.entries)
        )

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
    """Return whether the settings ask for a report, a summary, a comparison or a requirement, or for the GPU."""
    settings = settings_of(config)
    asked = (settings.report_folder, settings.summary_file, settings.required, settings.base)
    return any(asked) or settings.use_gpu
