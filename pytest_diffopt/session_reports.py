"""What happens when tests report: the ledger is filled, then shown, then written."""

import pytest

from pytest_diffopt import stash
from pytest_diffopt.errors import DiffoptError


class SessionReports:
    """A plugin of its own, because pytest's reporting hooks are not told the config."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_sessionstart(self) -> None:
        """Refuse a report that could not be written, before the tests have run for it."""
        folder = stash.settings_of(self._config).report_folder
        if folder is not None:
            from pytest_diffopt.reports.json_report import prepare_folder  # noqa: PLC0415 - as below

            try:
                prepare_folder(folder)
            except DiffoptError as error:
                msg = f"diffopt: {error}"
                raise pytest.UsageError(msg) from error

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Enter the verdicts that a test report carries, from this process or from an xdist worker."""
        carried = vars(report).get(stash.CARRIED, ())
        if not carried and report.passed:
            return
        from pytest_diffopt.ledger import from_plain  # noqa: PLC0415 - a session without verdicts is spared it
        from pytest_diffopt.unjudged import unjudged  # noqa: PLC0415 - as above

        entries = from_plain(carried)
        ledger = stash.ledger_of(self._config)
        ledger.entries.extend(entries)
        if ended := unjudged(report, entries, belongs_to_diffopt=vars(report).get(stash.OURS, False)):
            ledger.unjudged.append(ended)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Enter a file whose tests could not be collected."""
        if report.failed:
            from pytest_diffopt.unjudged import uncollected  # noqa: PLC0415 - as above

            stash.ledger_of(self._config).unjudged.append(uncollected(report))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Show the verdicts: every bad one, and with `-v` all of them."""
        ledger = stash.ledger_of(self._config)
        if ledger.entries:
            from pytest_diffopt.reports.terminal import write_summary  # noqa: PLC0415 - as above

            write_summary(terminalreporter, ledger, is_verbose=self._config.get_verbosity() > 0)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        """Write the report where one was asked for."""
        folder = stash.settings_of(self._config).report_folder
        if folder is not None:
            from pytest_diffopt.reports.document import report_of  # noqa: PLC0415 - as above
            from pytest_diffopt.reports.writing import write_report  # noqa: PLC0415 - as above

            try:
                write_report(folder, report_of(stash.ledger_of(self._config), stash.settings_of(self._config)))
            except DiffoptError as error:
                msg = f"diffopt: {error}"
                raise pytest.exit.Exception(msg, returncode=pytest.ExitCode.TESTS_FAILED) from error
