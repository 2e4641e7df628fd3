"""What happens when tests report: the ledger is filled, then shown, then written."""

import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_diffopt.errors import DiffoptError
from pytest_diffopt.reports.github_run import github_run
from pytest_diffopt.session import config_stash

if TYPE_CHECKING:  # at run time these are imported when there is something to report
    from pytest_diffopt.baselines.since_revision import BaselineComparison
    from pytest_diffopt.reports.summary import Summary
    from pytest_diffopt.session.unmet_requirements import UnmetRequirement


class SessionReports:
    """A plugin of its own, because pytest's reporting hooks are not told the config."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._settings = config_stash.settings_of(config)
        self._github = github_run(os.environ)
        self._unwritten: list[str] = []

    def pytest_sessionstart(self) -> None:
        """Refuse what could not be kept at the end, before the tests have run for it."""
        settings = self._settings
        try:
            if settings.report_folder is not None:
                from pytest_diffopt.reports.json_report import prepare_folder  # noqa: PLC0415 - as below

                prepare_folder(settings.report_folder)
            if settings.summary_file is not None:
                from pytest_diffopt.reports.github_summary import write_summary_file  # noqa: PLC0415 - as below

                write_summary_file(settings.summary_file, "")  # a summary of the run before would be taken for this one
            if settings.required:
                from pytest_diffopt.session.required_verdicts import parse_requirements  # noqa: PLC0415 - as below

                parse_requirements(settings.required)
        except DiffoptError as error:
            msg = f"diffopt: {error}"
            raise pytest.UsageError(msg) from error

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Enter what a test report carries, from this process or from an xdist worker."""
        ledger = config_stash.ledger_of(self._config)
        carried, case = vars(report).get(config_stash.CARRIED), vars(report).get(config_stash.CARRIED_CASE)
        if carried:
            from pytest_diffopt.session.ledger import from_plain  # noqa: PLC0415 - a session without verdicts is spared it

            ledger.entries.extend(from_plain(carried))
        if case:
            from pytest_diffopt.session.ledger import CaseResult  # noqa: PLC0415 - as above

            ledger.cases[case["nodeid"]] = CaseResult(**case)
        if report.failed:
            self._note_failure(report, num_entries=len(carried or ()))

    def _note_failure(self, report: pytest.TestReport, *, num_entries: int) -> None:
        """Enter a test that failed, unless one of the verdicts that just came with its report says why."""
        from pytest_diffopt.plugin.broken_tests import broken_test  # noqa: PLC0415 - as above

        ledger = config_stash.ledger_of(self._config)
        if not any(entry.verdict.is_failure for entry in ledger.entries[len(ledger.entries) - num_entries :]):
            ledger.broken.append(broken_test(report))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Enter a file whose tests could not be collected."""
        if report.failed:
            from pytest_diffopt.plugin.broken_tests import broken_test  # noqa: PLC0415 - as above

            config_stash.ledger_of(self._config).broken.append(broken_test(report))

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object | None) -> None:
        """Remember that an xdist worker ended before its work did."""
        if error is not None:
            config_stash.ledger_of(self._config).lost_workers.append(f"{node.gateway.id}: {error}")

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Show the verdicts, every bad one and with `-v` all of them, and what the run did not prove."""
        ledger = config_stash.ledger_of(self._config)
        if ledger.entries or self._unmet_requirements:
            from pytest_diffopt.reports.terminal import write_summary  # noqa: PLC0415 - as above

            is_verbose = self._config.get_verbosity() > 0
            write_summary(terminalreporter, ledger, self._unmet_requirements, self._baselines, is_verbose=is_verbose)
        for problem in self._unwritten:
            terminalreporter.write_line(f"diffopt: {problem}", red=True)
        if self._github.is_active:
            self._annotate(terminalreporter)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write what was asked for, and end a run red that proved less than it had to."""
        settings = self._settings
        if settings.report_folder is not None:
            self._write_report(settings.report_folder, session)
        self._write_summaries(session)
        if session.exitstatus == pytest.ExitCode.OK and any(
            unmet_requirement.is_failure for unmet_requirement in self._unmet_requirements
        ):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _write_report(self, folder: Path, session: pytest.Session) -> None:
        from pytest_diffopt.reports.document import report_of  # noqa: PLC0415 - as above
        from pytest_diffopt.reports.writing import write_report  # noqa: PLC0415 - as above

        try:
            write_report(
                folder,
                report_of(
                    config_stash.ledger_of(self._config), self._settings, self._unmet_requirements, self._baselines
                ),
            )
        except DiffoptError as error:
            self._unwritten.append(str(error))
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _write_summaries(self, session: pytest.Session) -> None:
        """Write the summary where it was asked for, and on the page of GitHub's run when there is something to say."""
        settings, github = self._settings, self._github
        if settings.summary_file is not None:
            from pytest_diffopt.reports import github_summary as github_page  # noqa: PLC0415 - as above

            try:
                text = github_page.render(self._summary(), limit_bytes=github_page.COMMENT_LIMIT_BYTES)
                github_page.write_summary_file(settings.summary_file, text)
            except DiffoptError as error:
                self._unwritten.append(str(error))
                session.exitstatus = pytest.ExitCode.TESTS_FAILED
        if github.step_summary is not None and self._has_something_to_say and not settings.is_paired_worker:
            from pytest_diffopt.reports.github_summary import append_step_summary  # noqa: PLC0415 - as above

            try:
                append_step_summary(github.step_summary, self._summary())
            except DiffoptError as error:  # the verdicts stand without GitHub's page
                self._unwritten.append(str(error))

    def _summary(self) -> "Summary":
        from pytest_diffopt.reports.header import header_line  # noqa: PLC0415 - as above
        from pytest_diffopt.reports.summary import Summary  # noqa: PLC0415 - as above

        return Summary(
            ledger=config_stash.ledger_of(self._config),
            unmet_requirements=self._unmet_requirements,
            setting=header_line(self._settings, self._config.rootpath).removeprefix("diffopt: "),
            baselines=self._baselines,
        )

    def _annotate(self, terminal: pytest.TerminalReporter) -> None:
        from pytest_diffopt.reports.github_annotations import annotation_lines  # noqa: PLC0415 - as above

        terminal.ensure_newline()  # a command is one only at the beginning of a line
        config, workspace = self._config, self._github.workspace
        folder = config.invocation_params.dir
        ledger = config_stash.ledger_of(config)
        for line in annotation_lines(ledger, root=config.rootpath, folder=folder, workspace=workspace):
            terminal.write_line(line)

    @property
    def _has_something_to_say(self) -> bool:
        ledger = config_stash.ledger_of(self._config)
        return bool(ledger.entries or ledger.cases or self._unmet_requirements)

    @cached_property
    def _unmet_requirements(self) -> "list[UnmetRequirement]":
        """What the run did not prove; nothing where no test was to run."""
        if self._config.option.collectonly:
            return []
        from pytest_diffopt.session.unmet_requirements import find_unmet_requirements  # noqa: PLC0415 - as above

        return find_unmet_requirements(config_stash.ledger_of(self._config), self._settings)

    @cached_property
    def _baselines(self) -> "BaselineComparison | None":
        """What the change did to the baselines; None where nothing says what it started from."""
        base = self._settings.base or self._github.base
        if not base or not config_stash.ledger_of(self._config).cases:
            return None
        from pytest_diffopt.baselines.since_revision import compare_since  # noqa: PLC0415 - as above

        return compare_since(base, self._settings.baselines_folder)
