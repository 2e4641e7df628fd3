"""Where a baseline lives: one file per device, suite, case and scale."""

import functools
import hashlib
import re
from dataclasses import dataclass
from pathlib import PurePosixPath

#: Every file system takes these. `/ \\ : * ? " < > |` and blanks are taken by some only, or mean something to a shell.
_UNSAFE = re.compile(r"[^A-Za-z0-9_+=,.()\[\]@~-]")
#: Windows gives these names to devices, whatever the ending.
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.IGNORECASE)
#: Long enough to read, short enough for every file system when the scale, the ending and a folder come on top.
_LONGEST_NAME = 120
_HASH_DIGITS = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class BaselineKey:
    """What a baseline is found by.

    Attributes:
        device_slug: the device (`nvidia-h200`).
        suite: the test file without its ending; may hold folders (`models/test_sdxl`).
        case: the test as pytest names it (`test_latency[sdxl-bf16+sdpa]`).
        scale: `tiny`, `full`, or empty for a pipeline that the user built.
    """

    device_slug: str
    suite: str
    case: str
    scale: str = ""

    @property
    def folder(self) -> PurePosixPath:
        """The folder, from the root of the store."""
        return PurePosixPath(slug(self.device_slug)) / suite_folder(self.suite)

    @property
    def relative_path(self) -> PurePosixPath:
        """The file, from the root of the store: `<device>/<suite>/<case>.<scale>.json`."""
        scale = f".{slug(self.scale)}" if self.scale else ""
        return self.folder / f"{slug(self.case)}{scale}.json"


@functools.lru_cache(maxsize=1024)  # a suite has many cases
def suite_folder(suite: str) -> PurePosixPath:
    """Turn a suite into a folder below that of its device."""
    return PurePosixPath(*(slug(part) for part in suite.split("/")))


def slug(name: str) -> str:
    """Turn any text into the name of a file that every file system takes and that never leaves its folder.

    A name that is safe already stays as it is. Otherwise every unsafe character becomes `_` and a hash of the whole
    name follows, so two names that differ only there keep two files.
    """
    readable = _UNSAFE.sub("_", name)[:_LONGEST_NAME]
    if readable == name and not _is_refused(name):
        return name
    digest = hashlib.sha256(name.encode("utf-8", errors="surrogatepass")).hexdigest()[:_HASH_DIGITS]
    return f"_{readable.strip('.')}-{digest}" if _is_refused(readable) else f"{readable}-{digest}"


def _is_refused(name: str) -> bool:
    """Tell whether some file system refuses, hides or reinterprets a name although its characters are safe."""
    return not name or name.startswith(".") or name.endswith(".") or _RESERVED.fullmatch(name) is not None
