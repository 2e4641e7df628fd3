"""A real browser, where this machine has one: what a page looks like, and what its script made of it."""

import shutil
import subprocess
import tempfile
from pathlib import Path

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Without these a browser asks the network for updates, or wants a screen or a sandbox that a container lacks.
_OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--hide-scrollbars",
)
_DARK = "--blink-settings=preferredColorScheme=0"
_SECONDS = 120


class BrowserError(Exception):
    """The browser did not do what it was asked to."""


def find_browser() -> str | None:
    """Return a browser of this machine that can take an image of a page; None without one."""
    return next(filter(None, map(shutil.which, _NAMES)), None)


def take_image(page: Path, target: Path, *, width: int, height: int, is_dark: bool = False) -> None:
    """Take an image of the upper part of a page.

    Args:
        page: the file.
        target: where the PNG goes.
        width: of the window, in pixels; at least 500, which is as narrow as it can be.
        height: of the window.
        is_dark: as somebody sees it who prefers dark pages.

    Raises:
        BrowserError: there is no image.
    """
    scheme = [_DARK] if is_dark else []
    _run(page, f"--screenshot={target}", f"--window-size={width},{height}", *scheme)
    if not target.exists():
        message = f"the browser took no image of {page}"
        raise BrowserError(message)


def content_after_scripts(page: Path, *options: str) -> str:
    """Return the page's elements as they are once its script has run.

    Args:
        page: the file.
        *options: more options for the browser, such as `--virtual-time-budget=5000`, the milliseconds of its scripts.

    Raises:
        BrowserError: the browser ended with an error.
    """
    return _run(page, "--dump-dom", *options)


def _run(page: Path, *options: str) -> str:
    browser = find_browser()
    if browser is None:
        message = f"there is none of {', '.join(_NAMES)} on this machine"
        raise BrowserError(message)
    with tempfile.TemporaryDirectory() as profile:
        command = [browser, *_OPTIONS, f"--user-data-dir={profile}", *options, page.resolve().as_uri()]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=_SECONDS)  # noqa: S603
    if done.returncode:
        message = f"the browser ended with {done.returncode}: {done.stderr[-500:]}"
        raise BrowserError(message)
    return done.stdout
