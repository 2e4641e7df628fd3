"""The path of a baseline: one file per device, suite, case and scale."""

import functools
import hashlib
import re
from dataclasses import dataclass
from pathlib import PurePosixPath

#: All but the characters that every file system accepts. `/ \\ : * ? " < > |` and blanks are special in some file
#: systems or shells.
_UNSAFE = re.compile(r"[^A-Za-z0-9_+=,.()\[\]@~-]")
#: Windows reserves these names for devices, with any extension.
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.IGNORECASE)
#: Readable, and short enough for every file system together with the scale, the extension and the folder.
_LONGEST_NAME = 120
_HASH_DIGITS = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class BaselineKey:
    """Identifies a baseline.

    Attributes:
        device_slug: the device (`nvidia-h200`).
        suite: the test file without its extension; may contain folders (`models/test_sdxl`).
        case: the test as pytest names it (`test_latency[sdxl-bf16+sdpa]`).
        scale: `tiny`, `full`, or empty for a pipeline that the user built.
    """

    device_slug: str
    suite: str
    case: str
    scale: str = ""

    @property
    def folder(self) -> PurePosixPath:
        """The folder, relative to the root of the store."""
        return PurePosixPath(slug(self.device_slug)) / suite_folder(self.suite)

    @property
    def relative_path(self) -> PurePosixPath:
        """The file, relative to the root of the store: `<device>/<suite>/<case>.<scale>.json`."""
        scale = f".{slug(self.scale)}" if self.scale else ""
        return self.folder / f"{slug(self.case)}{scale}.json"


@functools.lru_cache(maxsize=1024)  # a suite has many cases
def suite_folder(suite: str) -> PurePosixPath:
    """Return the folder of a suite, relative to the folder of its device."""
    return PurePosixPath(*(slug(part) for part in suite.split("/")))


def slug(name: str) -> str:
    """Convert any text to a file name that every file system accepts and that does not lead out of its folder.

    A safe name is returned unchanged. Otherwise every unsafe character becomes `_`, and a hash of the whole name is
    appended, so that names which differ only in unsafe characters keep different files.
    """
    readable = _UNSAFE.sub("_", name)[:_LONGEST_NAME]
    if readable == name and not _is_refused(name):
        return name
    digest = hashlib.sha256(name.encode("utf-8", errors="surrogatepass")).hexdigest()[:_HASH_DIGITS]
    return f"_{readable.strip('.')}-{digest}" if _is_refused(readable) else f"{readable}-{digest}"


def _is_refused(name: str) -> bool:
    """Return whether a file system refuses, hides or reinterprets a name although its characters are safe."""
    return not name or name.startswith(".") or name.endswith(".") or _RESERVED.fullmatch(name) is not None
