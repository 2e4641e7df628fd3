"""The environment of each release: a few packages laid over the project's own, in folders that are kept.

A package of one version is installed once, into a folder of its own; a release is a list of such folders, which stand
before the project's site-packages in `PYTHONPATH`. So torch is there once, and a folder that exists is never touched.
"""

import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

# The last releases that old diffusers can be imported with: it knows neither transformers 5 nor huggingface_hub 2.
_OLD_COMPANIONS = ("transformers==4.57.6", "huggingface_hub==0.36.0", "tokenizers==0.22.1")
# diffusers 0.37 to 0.40 ask the hub through httpx themselves.
_HTTPX = ("httpx==0.28.1", "httpcore==1.0.9")

#: What each release of diffusers is run with; what is not named comes from the project's environment, torch above all.
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
#: Told to every release that it is not there: each diffusers knows the torchao of its own days only.
HIDDEN = ("torchao",)

_INSTALL_LIMIT_S = 600
_LAST_LINES = 5


class InstallError(Exception):
    """A package cannot be installed; the message says which, and what pip said."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cache:
    """Where installed packages are kept.

    Attributes:
        folder: the folder of all of them.
        progress: called with a line before each installation, which takes a while.
    """

    folder: Path
    progress: Callable[[str], None]

    def layers(self, release: str) -> tuple[Path, ...]:
        """Return the folders that make a release's environment, installing what is missing.

        Raises:
            InstallError: pip cannot install one of them.
        """
        return tuple(self._layer(pin) for pin in PINS[release])

    def _layer(self, pin: str) -> Path:
        # A path with "-packages/" in it is told from its import root: `diffusers/...`, not `.history/...`.
        layer = self.folder / pin.replace("==", "-") / "site-packages"
        if not layer.exists():
            self.progress(f"installing {pin} ...")
            self._install(pin, layer)
        return layer

    def _install(self, pin: str, layer: Path) -> None:
        """Install beside the place and move there, so that what exists is complete also after a kill."""
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
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
        message = f"pip cannot install {pin}: {' / '.join(said[-_LAST_LINES:]) or 'it said nothing'}"
        raise InstallError(message)
