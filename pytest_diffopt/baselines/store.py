"""The folder of baselines: read before a record is judged, written only with permission and never by halves."""

import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from pytest_diffopt.baselines.codec import Document, decode, encode
from pytest_diffopt.baselines.documents import Baseline
from pytest_diffopt.baselines.key import BaselineKey, slug, suite_folder
from pytest_diffopt.baselines.write_permission import WritePermission
from pytest_diffopt.errors import BaselineError, BrokenBaselineError
from pytest_diffopt.records import Concern

_LOCK_TIMEOUT_S = 30.0
#: What a case may own in its folder: its figures and its reference images and latents.
_OWNED_ENDINGS = frozenset({".json", ".png", ".safetensors"})
_UNFINISHED = ".unfinished"
_OTHER_FOLDER = "or name another folder with --diffopt-baselines"


class BaselineStore:
    """Baselines below one folder, which need not exist before the first is written."""

    def __init__(self, root: Path, permission: WritePermission = WritePermission.NEVER) -> None:
        """Name the folder and say what may be written to it."""
        self.root = root
        self.permission = permission
        # Keyed by the folded path: some file systems hold `test_A` and `test_a` for one file.
        self._owners: dict[str, tuple[str, Concern]] = {}

    def path(self, key: BaselineKey) -> Path:
        """Return the file of a key, whether it exists or not."""
        return self.root / key.relative_path

    def read(self, key: BaselineKey, document_type: type[Document]) -> Document | None:
        """Return the accepted document, or None when there is none.

        Where everything may be replaced, a file that cannot be trusted counts as none: replacing it is what the message
        would advise.

        Raises:
            BaselineError: The file cannot be read, cannot be trusted, or belongs to another case.
        """
        path = self.path(key)
        with _explained("read the baseline", path):
            try:
                raw = path.read_bytes()
            except FileNotFoundError:
                return None
        try:
            return _of_case(key.case, decode(raw, document_type, file=path), path)
        except BrokenBaselineError:
            if self.permission is WritePermission.ALL:
                return None
            raise

    def can_accept(self, key: BaselineKey) -> bool:
        """Tell whether this session may write the baseline of a key."""
        match self.permission:
            case WritePermission.NEVER:
                return False
            case WritePermission.MISSING:
                with _explained("read the baseline", self.path(key)):
                    return not self.path(key).exists()
            case WritePermission.ALL:
                return True

    def claim(self, key: BaselineKey, *, nodeid: str, concern: Concern) -> None:
        """Give the file of a key to one test for this session; claim all at collection, which every worker makes whole.

        Raises:
            BaselineError: Another test has it, or this test has it for another concern.
        """
        path = self.path(key)
        owner, claimed = self._owners.setdefault(path.as_posix().casefold(), (nodeid, concern))
        if owner != nodeid:
            message = (
                f"two tests own the baseline {path}:\n  {owner}\n  {nodeid}\n"
                "  rename one of them: a baseline belongs to one test"
            )
            raise BaselineError(message)
        if claimed != concern:
            message = (
                f"{nodeid} owns the baseline {path} for {claimed!s} already, and wants it for {concern!s}\n"
                "  check each concern in a test of its own: a case has one baseline"
            )
            raise BaselineError(message)

    def accept(self, key: BaselineKey, document: Baseline, *, nodeid: str) -> Path:
        """Write a document in one stroke: whoever reads, and whatever kills us, finds the old file or the new one.

        Args:
            key: what it will be found by.
            document: what was accepted.
            nodeid: the test that accepts it.

        Returns:
            The file.

        Raises:
            BaselineError: There is no permission, two tests own the key, the document breaks its own rules, or the
                file system refuses.
        """
        self.claim(key, nodeid=nodeid, concern=document.concern)
        path = self.path(key)
        raw = encode(document, file=path)
        with _explained("write the baseline", path), _locked(path):
            if not self.can_accept(key):
                raise BaselineError(self._refusal(path))
            path.parent.mkdir(parents=True, exist_ok=True)
            _replace(path, raw)
        return path

    def prune(self, cases: Iterable[BaselineKey], suites: Iterable[str]) -> tuple[Path, ...]:
        """Remove, on every device and at every scale, what no case of these suites owns any more.

        Only right after a collection that left nothing out (no `-k`, no single test): what was not collected counts as
        gone. Of the keys only suite and case are looked at: a run at one scale, on one device, keeps all others.

        Args:
            cases: the keys of all collected cases.
            suites: the suites that were collected; the files of others stay.

        Returns:
            The files that were removed.

        Raises:
            BaselineError: The file system refuses.
        """
        removed = self.unowned(cases, suites)
        with _explained("prune the baselines", self.root):
            for path in removed:
                path.unlink(missing_ok=True)
        return removed

    def unowned(self, cases: Iterable[BaselineKey], suites: Iterable[str]) -> tuple[Path, ...]:
        """Return what `prune` would remove.

        Raises:
            BaselineError: The file system refuses.
        """
        kept = {(suite_folder(key.suite), slug(key.case)) for key in cases}
        with _explained("look for baselines to prune", self.root):
            return tuple(
                path
                for suite in sorted({suite_folder(suite) for suite in suites})
                for path in self._files(suite.as_posix())
                if not any((suite, name) in kept for name in _possible_owners(path))
            )

    def _files(self, suite: str) -> list[Path]:
        """List the files of a suite on every device that a case could own, and those that a kill left unfinished."""
        if not self.root.exists():
            return []
        folders = [device / suite for device in self.root.iterdir() if (device / suite).is_dir()]
        endings = _OWNED_ENDINGS | {_UNFINISHED}
        return sorted(path for folder in folders for path in folder.iterdir() if path.suffix in endings)

    def _refusal(self, path: Path) -> str:
        if self.permission is WritePermission.MISSING:
            return f"the baseline {path} exists already\n  replace it with --diffopt-update all"
        return f"the baseline {path} may not be written\n  allow it with --diffopt-update missing or all"


def _of_case(case: str, document: Document, path: Path) -> Document:
    """Return the document when it was accepted for this case."""
    if document.case == case:
        return document
    message = (
        f"the baseline {path} cannot be trusted: case: must be {case}, got: {document.case}\n"
        "  it was renamed by hand, or two tests share it: accept it again with --diffopt-update all"
    )
    raise BrokenBaselineError(message)


def _possible_owners(path: Path) -> tuple[str, ...]:
    """Return the slugs of the cases that may own a file: its name up to any of its dots (`test_a.tiny.json`)."""
    if path.suffix == _UNFINISHED:
        return ()
    parts = path.stem.split(".")
    return tuple(".".join(parts[:length]) for length in range(1, len(parts) + 1))


def _replace(path: Path, raw: bytes) -> None:
    # Always the same name, so that what a kill leaves behind is overwritten by the next try; the lock keeps it ours.
    unfinished = path.with_name(f".{path.name}{_UNFINISHED}")
    with unfinished.open("wb") as file:
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Let one process at a time write a file; the lock lives outside the tree that people commit.

    It holds on one machine. Across machines that share the folder a reader still never meets half a file.
    """
    folder = Path(tempfile.gettempdir()) / f"pytest-diffopt-locks-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    # The name can be guessed: a stranger who made the folder first could point the locks at our files.
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        message = f"{folder} belongs to somebody else\n  remove it, or set TMPDIR to a folder of your own"
        raise BaselineError(message)
    name = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:32]
    try:
        with FileLock(folder / f"{name}.lock", timeout=_LOCK_TIMEOUT_S):
            yield
    except Timeout as error:
        message = (
            f"another process has been writing the baseline {path} for {_LOCK_TIMEOUT_S:.0f} s\n  end it, then retry"
        )
        raise BaselineError(message) from error


@contextmanager
def _explained(action: str, path: Path) -> Iterator[None]:
    """Turn what the file system says into what a person can do about it."""
    try:
        yield
    except OSError as error:
        message = f"cannot {action} {path}: {error.strerror} ({error.filename})\n  {_hint(error)}"
        raise BaselineError(message) from error


def _hint(error: OSError) -> str:
    match error:
        case NotADirectoryError() | FileExistsError():
            return f"a file stands where a folder is needed: move it away, {_OTHER_FOLDER}"
        case IsADirectoryError():
            return f"a folder stands where the file belongs: move it away, {_OTHER_FOLDER}"
        case _:
            return f"give this user the right to it and room on its disk, {_OTHER_FOLDER}"
