"""`--diffopt-prune`: remove the baselines that no test owns any more, and nothing else."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from pytest_diffopt.baselines import BaselineKey, ImageBaseline
from pytest_diffopt.baselines.codec import decode
from pytest_diffopt.baselines.image_document import StoredFile
from pytest_diffopt.baselines.image_files import StoredFiles
from pytest_diffopt.errors import BaselineError, BrokenBaselineError
from pytest_diffopt.guards.failure_text import counted
from pytest_diffopt.reports.header import shown_path
from pytest_diffopt.session import config_stash
from pytest_diffopt.session.baseline_owner import case_of, owns_baseline

_OF_IMAGES = b'"concern": "images"'
_WHOLE_FILES = "--diffopt-prune takes what is not collected for gone, so it needs whole test files"


class Pruning:
    """A plugin object of its own: it has to remember whether tests were deselected."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._removed: list[str] = []
        self._kept: list[str] = []
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
        store, suites = config_stash.store_of(self._config), {case.suite for case in cases}
        try:
            # first what lies elsewhere: where that fails, the documents still say what is left
            self._remove_references(store.root, store.unowned(keys, suites))
            removed = store.prune(keys, suites)
        except BaselineError as error:
            msg = f"diffopt: {error}"
            raise pytest.UsageError(msg) from error
        self._removed += [shown_path(path, self._config.rootpath) for path in removed]

    def _remove_references(self, root: Path, documents: Sequence[Path]) -> None:
        """Remove the images and latents of documents that nobody owns, where they are kept apart from them."""
        references = config_stash.settings_of(self._config).references
        for path in documents if references else ():
            device, *suite, _name = path.relative_to(root).parts
            files = StoredFiles(references, BaselineKey(device_slug=device, suite="/".join(suite), case=path.stem))
            try:
                named = _files_named_in(path)
            except BrokenBaselineError:  # it goes all the same, and nobody knows what it named
                self._kept.append(f"kept what {shown_path(path, self._config.rootpath)} named: it cannot be read")
                continue
            for file in named:
                files.remove(file)
                self._removed.append("/".join((references, device, *suite, file.name)))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Name what was removed."""
        terminalreporter.section("diffopt: pruned baselines")
        for path in self._removed:
            terminalreporter.write_line(f"removed {path}")
        for line in self._kept:
            terminalreporter.write_line(line)
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


def _files_named_in(path: Path) -> tuple[StoredFile, ...]:
    """Return what a baseline's document names; nothing where the file is none, or one without images."""
    raw = path.read_bytes() if path.suffix == ".json" else b""
    return decode(raw, ImageBaseline, file=path).files if _OF_IMAGES in raw else ()
