"""Where the image files of a test go: next to the report if one is written, else in pytest's cache."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@cache
def _temporary_folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="pytest-diffopt-"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Artifacts:
    """Where the image files of one test go.

    All processes write below the same folder: file names contain the test's name, and no two workers run one test at
    once.

    Attributes:
        nodeid: the test.
        report_folder: the folder of the report; None without a report.
        other_folder: makes the folder for images of a session without a report.
    """

    nodeid: str = ""
    report_folder: Path | None = None
    other_folder: Callable[[], Path] = _temporary_folder

    @property
    def keeps_everything(self) -> bool:
        """Whether images of passing checks are kept too: a report shows all of them."""
        return self.report_folder is not None

    @property
    def folder(self) -> Path:
        """The folder that names of files are relative to."""
        return self.report_folder or self.other_folder()

    def path_of(self, name: str) -> str:
        """Return the path of a file by its name in the folder."""
        return str(self.folder / name)
