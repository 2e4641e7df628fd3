"""The folder of baselines: read before a record is judged, written atomically and only with permission."""

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
#: The extensions of the files that a case may own: its figures, and its reference images and latents.
_OWNED_ENDINGS = frozenset({".json", ".png", ".safetensors"})
_UNFINISHED = ".unfinished"
_OTHER_FOLDER = "or name another folder with --diffopt-baselines"


class BaselineStore:
    """The baselines below one folder, which is created when the first baseline is written."""

    def __init__(self, root: Path, permission: WritePermission = WritePermission.NEVER) -> None:
        """Bind to a folder with a permission to write."""
        self.root = root
        self.permission = permission
        # Keyed by the case-folded path: on some file systems `test_A` and `test_a` are the same file.
        self._owners: dict[str, tuple[str, Concern]] = {}

    def path(self, key: BaselineKey) -> Path:
        """Return the path of a key's file, which need not exist."""
        return self.root / key.relative_path

    def read(self, key: BaselineKey, document_type: type[Document]) -> Document | None:
        """Return the accepted document, or None if there is none.

        With `WritePermission.ALL` a file that cannot be trusted counts as none, because it may be replaced.

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
        """Return whether this session may write the baseline of a key."""
        match self.permission:
            case WritePermission.NEVER:
                return False
            case WritePermission.MISSING:
                with _explained("read the baseline", self.path(key)):
                    return not self.path(key).exists()
            case WritePermission.ALL:
                return True

    def claim(self, key: BaselineKey, *, nodeid: str, concern: Concern) -> None:
        """Reserve the file of a key for one test of this session.

        Claim all keys at collection: every xdist worker collects all tests, so each detects the conflict.

        Raises:
            BaselineError: Another test owns the file, or this test owns it for another concern.
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
                f"{nodeid} uses the baseline {path} for {claimed!s} and for {concern!s}\n"
                "  check each concern in its own test: a case has one baseline"
            )
            raise BaselineError(message)

    def accept(self, key: BaselineKey, document: Baseline, *, nodeid: str) -> Path:
        """Write a document atomically: after a crash, and for a concurrent reader, the file is the old or the new one.

        Args:
            key: the key of the baseline.
            document: the accepted document.
            nodeid: the test that accepts it.

        Returns:
            The path of the file.

        Raises:
            BaselineError: There is no permission, two tests own the key, the document is invalid, or the file system
                reports an error.
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
        """Remove the files of these suites that no case owns, on every device and at every scale.

        It requires a complete collection (no `-k`, no single test): a case that was not collected counts as removed.
        Only the suite and the case of a key are compared, so a run at one scale on one device keeps all others.

        Args:
            cases: the keys of all collected cases.
            suites: the collected suites; the files of other suites are kept.

        Returns:
            The removed files.

        Raises:
            BaselineError: The file system reports an error.
        """
        removed = self.unowned(cases, suites)
        with _explained("prune the baselines", self.root):
            for path in removed:
                path.unlink(missing_ok=True)
        return removed

    def unowned(self, cases: Iterable[BaselineKey], suites: Iterable[str]) -> tuple[Path, ...]:
        """Return the files that `prune` would remove.

        Raises:
            BaselineError: The file system reports an error.
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
        """List the files of a suite that a case could own, on every device, and the unfinished files of killed runs."""
        if not self.root.exists():
            return []
        folders = [device / suite for device in self.root.iterdir() if (device / suite).is_dir()]
        endings = _OWNED_ENDINGS | {_UNFINISHED}
        return sorted(path for folder in folders for path in folder.iterdir() if path.suffix in endings)

    def _refusal(self, path: Path) -> str:
        if self.permission is WritePermission.MISSING:
            return f"the baseline {path} already exists\n  to replace it: --diffopt-update all"
        return f"the baseline {path} may not be written\n  to allow it: --diffopt-update missing or all"


def _of_case(case: str, document: Document, path: Path) -> Document:
    """Return the document if it was accepted for this case."""
    if document.case == case:
        return document
    message = (
        f"the baseline {path} cannot be trusted: case: must be {case}, got: {document.case}\n"
        "  the file was renamed, or two tests share it: accept it again with --diffopt-update all"
    )
    raise BrokenBaselineError(message)


def _possible_owners(path: Path) -> tuple[str, ...]:
    """Return the slugs of the cases that may own a file: every prefix of its name that ends at a dot."""
    if path.suffix == _UNFINISHED:
        return ()
    parts = path.stem.split(".")
    return tuple(".".join(parts[:length]) for length in range(1, len(parts) + 1))


def _replace(path: Path, raw: bytes) -> None:
    # A fixed name: the next attempt overwrites what a killed process left behind. The lock excludes other writers.
    unfinished = path.with_name(f".{path.name}{_UNFINISHED}")
    with unfinished.open("wb") as file:
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Let one process at a time write a file; the lock file is outside the committed tree.

    The lock covers one machine. Machines that share the folder still never read an incomplete file.
    """
    folder = Path(tempfile.gettempdir()) / f"pytest-diffopt-locks-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    # The name is predictable: another user could have created it as a link to files of this user.
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        message = f"{folder} is owned by another user or is a link\n  remove it, or set TMPDIR to a folder of your own"
        raise BaselineError(message)
    name = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:32]
    try:
        with FileLock(folder / f"{name}.lock", timeout=_LOCK_TIMEOUT_S):
            yield
    except Timeout as error:
        message = (
            f"another process has locked the baseline {path} for {_LOCK_TIMEOUT_S:.0f} s\n  end it, then run again"
        )
        raise BaselineError(message) from error


@contextmanager
def _explained(action: str, path: Path) -> Iterator[None]:
    """Convert an error of the file system to a `BaselineError` with a hint."""
    try:
        yield
    except OSError as error:
        message = f"cannot {action} {path}: {error.strerror} ({error.filename})\n  {_hint(error)}"
        raise BaselineError(message) from error


def _hint(error: OSError) -> str:
    match error:
        case NotADirectoryError() | FileExistsError():
            return f"a file exists where a folder is needed: move it, {_OTHER_FOLDER}"
        case IsADirectoryError():
            return f"a folder exists where a file is needed: move it, {_OTHER_FOLDER}"
        case _:
            return f"check the permissions and the free disk space, {_OTHER_FOLDER}"
