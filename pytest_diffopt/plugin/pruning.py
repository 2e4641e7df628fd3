"""`--diffopt-prune`: remove the baselines that no test owns any longer, and nothing else."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from pytest_diffopt.baselines.codec import decode
from pytest_diffopt.baselines.image_document import ImageBaseline, StoredFile
from pytest_diffopt.baselines.image_files import StoredFiles
from pytest_diffopt.baselines.key import BaselineKey
from pytest_diffopt.errors import BaselineError, BrokenBaselineError
from pytest_diffopt.guards.failure_text import counted
from pytest_diffopt.reports.header import shown_path
from pytest_diffopt.session.baseline_owner import owner_of, owns_baseline
from pytest_diffopt.session.baseline_store import store_of
from pytest_diffopt.session.settings import settings_of

_OF_IMAGES = b'"concern": "images"'
_WHOLE_FILES = "--diffopt-prune removes the baselines of tests that are not collected, so it needs whole test files"


class Pruning:
    """A plugin object, because it must remember whether tests were deselected."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._removed: list[str] = []
        self._kept: list[str] = []
        self._num_deselected = 0

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """Remember that the collection is not complete."""
        self._num_deselected += len(items)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Remove the baselines that no collected test owns.

        Raises:
            pytest.UsageError: some tests were left out, so their baselines would be removed.
        """
        self._refuse_partial_collection(session)
        suites = {owner_of(item).suite for item in session.items}
        owners = [owner_of(item) for item in session.items if owns_baseline(item)]
        keys = [BaselineKey(device_slug="", suite=owner.suite, case=owner.name) for owner in owners]
        store = store_of(self._config)
        try:
            # references elsewhere first: if that fails, the documents still name what is left
            self._remove_references(store.root, store.unowned(keys, suites))
            removed = store.prune(keys, suites)
        except BaselineError as error:
            msg = f"diffopt: {error}"
            raise pytest.UsageError(msg) from error
        self._removed += [shown_path(path, self._config.rootpath) for path in removed]

    def _remove_references(self, root: Path, documents: Sequence[Path]) -> None:
        """Remove the images and latents of unowned documents, if `--diffopt-references` stores them elsewhere."""
        references = settings_of(self._config).references
        for path in documents if references else ():
            device, *suite, _name = path.relative_to(root).parts
            files = StoredFiles(references, BaselineKey(device_slug=device, suite="/".join(suite), case=path.stem))
            try:
                named = _files_named_in(path)
            except BrokenBaselineError:  # the document is removed, but the files that it names are unknown
                self._kept.append(f"kept the files of {shown_path(path, self._config.rootpath)}: it cannot be read")
                continue
            for file in named:
                files.remove(file)
                self._removed.append("/".join((references, device, *suite, file.name)))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """List what was removed."""
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
    """Return the files that an image baseline names; nothing for any other file."""
    raw = path.read_bytes() if path.suffix == ".json" else b""
    return decode(raw, ImageBaseline, file=path).files if _OF_IMAGES in raw else ()
