"""What a session shows and writes at its end: the terminal section, the report, summaries and annotations."""

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import pytest

from pytest_diffopt.baselines.since_revision import BaselineComparison, compare_since
from pytest_diffopt.errors import DiffoptError
from pytest_diffopt.reports import github_summary
from pytest_diffopt.reports.document import report_of
from pytest_diffopt.reports.github_annotations import annotation_lines
from pytest_diffopt.reports.github_run import github_run
from pytest_diffopt.reports.header import header_line
from pytest_diffopt.reports.json_report import prepare_folder
from pytest_diffopt.reports.summary import Summary
from pytest_diffopt.reports.terminal import write_summary
from pytest_diffopt.reports.writing import write_report
from pytest_diffopt.session.ledger import ledger_of
from pytest_diffopt.session.required_verdicts import parse_requirements
from pytest_diffopt.session.settings import settings_of
from pytest_diffopt.session.unmet_requirements import UnmetRequirement, find_unmet_requirements


class SessionOutput:
    """The output of one session."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._settings = settings_of(config)
        self._ledger = ledger_of(config)
        self._github = github_run(os.environ)
        self._unwritten: list[str] = []

    def prepare(self) -> None:
        """Check what the settings ask for.

        Raises:
            DiffoptError: the report or the summary cannot be written, or a requirement cannot be parsed.
        """
        settings = self._settings
        if settings.report_folder is not None:
            prepare_folder(settings.report_folder)
        if settings.summary_file is not None:
            # an old summary must not be taken for the one of this session
            github_summary.write_summary_file(settings.summary_file, "")
        if settings.required:
            parse_requirements(settings.required)

    def show(self, terminal: pytest.TerminalReporter, heading: Sequence[str]) -> None:
        """Write the section of the terminal, below a heading."""
        if self._ledger.entries or self._ledger.expected or self._unmet_requirements:
            is_verbose = self._config.get_verbosity() > 0
            write_summary(terminal, self._summary, heading=heading, is_verbose=is_verbose)
        for problem in self._unwritten:
            terminal.write_line(f"diffopt: {problem}", red=True)
        if self._github.is_active:
            self._annotate(terminal)

    def write(self, session: pytest.Session) -> None:
        """Write the report and summaries; fail the session if a file cannot be written or a requirement is unmet."""
        if self._settings.report_folder is not None:
            self._write_report(self._settings.report_folder, session)
        self._write_summary_file(session)
        self._write_step_summary()
        is_unmet = any(requirement.is_failure for requirement in self._unmet_requirements)
        if session.exitstatus == pytest.ExitCode.OK and is_unmet:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _write_report(self, folder: Path, session: pytest.Session) -> None:
        try:
            write_report(folder, report_of(self._ledger, self._settings, self._unmet_requirements, self._baselines))
        except DiffoptError as error:
            self._unwritten.append(str(error))
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _write_summary_file(self, session: pytest.Session) -> None:
        file = self._settings.summary_file
        if file is None:
            return
        try:
            text = github_summary.render(self._summary, limit_bytes=github_summary.COMMENT_LIMIT_BYTES)
            github_summary.write_summary_file(file, text)
        except DiffoptError as error:
            self._unwritten.append(str(error))
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _write_step_summary(self) -> None:
        """Append the summary to the page of GitHub's run, if there is one."""
        has_content = bool(self._ledger.entries or self._ledger.cases or self._unmet_requirements)
        if self._github.step_summary is None or not has_content or self._settings.is_paired_worker:
            return
        try:
            github_summary.append_step_summary(self._github.step_summary, self._summary)
        except DiffoptError as error:  # the verdicts are valid without GitHub's page
            self._unwritten.append(str(error))

    @property
    def _summary(self) -> Summary:
        return Summary(
            ledger=self._ledger,
            unmet_requirements=self._unmet_requirements,
            setting=header_line(self._settings, self._config.rootpath).removeprefix("diffopt: "),
            baselines=self._baselines,
        )

    def _annotate(self, terminal: pytest.TerminalReporter) -> None:
        terminal.ensure_newline()  # GitHub reads a command only at the beginning of a line
        config = self._config
        folder, workspace = config.invocation_params.dir, self._github.workspace
        for line in annotation_lines(self._ledger, root=config.rootpath, folder=folder, workspace=workspace):
            terminal.write_line(line)

    @cached_property
    def _unmet_requirements(self) -> list[UnmetRequirement]:
        """What the session did not prove; empty if no test was to run."""
        if self._config.option.collectonly:
            return []
        return find_unmet_requirements(self._ledger, self._settings)

    @cached_property
    def _baselines(self) -> BaselineComparison | None:
        """What the change did to the baselines; None if no base revision is known."""
        base = self._settings.base or self._github.base
        if not base or not self._ledger.cases:
            return None
        return compare_since(base, self._settings.baselines_folder)
