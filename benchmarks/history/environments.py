"""The environment of each release: a few packages on top of the project's environment, in cached folders.

Each version of a package is installed once, into its own folder. A release is a list of such folders, which precede the
project's site-packages in `PYTHONPATH`. So torch is installed only once, and an existing folder is never changed.
"""

import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

# The last releases with which old diffusers can be imported: it supports neither transformers 5 nor huggingface_hub 2.
_OLD_COMPANIONS = ("transformers==4.57.6", "huggingface_hub==0.36.0", "tokenizers==0.22.1")
# diffusers 0.37 to 0.40 access the hub through httpx themselves.
_HTTPX = ("httpx==0.28.1", "httpcore==1.0.9")

#: Packages of each release of diffusers; all others, such as torch, come from the project's environment.
PINS = {
    "0.30.3": ("diffusers==0.30.3", *_OLD_COMPANIONS),
    "0.31.0": ("diffusers==0.31.0", *_OLD_COMPANIONS),
    "0.33.1": ("diffusers==0.33.1", *_OLD_COMPANIONS),
    "0.34.0": ("diffusers==0.34.0", *_OLD_COMPANIONS),
    "0.37.1": ("diffusers==0.37.1", *_OLD_COMPANIONS, *_HTTPX),
    "0.38.0": ("diffusers==0.38.0", *_OLD_COMPANIONS, *_HTTPX),
    "0.39.0": ("diffusers==0.39.0", *_OLD_COMPANIONS, *_HTTPX),
    "0.40.0": ("diffusers==0.40.0", "huggingface_hub==1.33.0", *_HTTPX),
    "0.42.1": ("diffusers==0.42.1",),
}
#: Packages that are hidden from every release: each diffusers supports only the torchao of its time.
HIDDEN = ("torchao",)

_INSTALL_LIMIT_S = 600
_LAST_LINES = 5


class InstallError(Exception):
    """A package cannot be installed; the message has the package and pip's error."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cache:
    """The cache of installed packages.

    Attributes:
        folder: parent folder of all packages.
        progress: called with a line before each installation.
    """

    folder: Path
    progress: Callable[[str], None]

    def layers(self, release: str) -> tuple[Path, ...]:
        """Return the folders of a release's environment; missing packages are installed.

        Raises:
            InstallError: pip cannot install a package.
        """
        return tuple(self._layer(pin) for pin in PINS[release])

    def _layer(self, pin: str) -> Path:
        # The "-packages/" in the path lets failures show paths from the import root, `diffusers/...`.
        layer = self.folder / pin.replace("==", "-") / "site-packages"
        if not layer.exists():
            self.progress(f"installing {pin} ...")
            self._install(pin, layer)
        return layer

    def _install(self, pin: str, layer: Path) -> None:
        """Install into a temporary folder and rename it, so that an existing folder is always complete."""
        unfinished = layer.with_name("unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        _run_pip(pin, ["install", "--quiet", "--no-deps", "--target", str(unfinished), pin])
        unfinished.rename(layer)


def _run_pip(pin: str, arguments: Sequence[str]) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_INSTALL_LIMIT_S)
    except subprocess.TimeoutExpired as error:
        message = f"pip took longer than {_INSTALL_LIMIT_S} s to install {pin}"
        raise InstallError(message) from error
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
        message = f"pip cannot install {pin}: {' / '.join(errors[-_LAST_LINES:]) or 'no output'}"
        raise InstallError(message)
