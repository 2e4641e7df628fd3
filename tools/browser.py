"""Render pages in headless Chromium or Chrome, if installed."""

import shutil
import subprocess
import tempfile
from pathlib import Path

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Without these the browser downloads updates, or needs a display or a sandbox that a container lacks.
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
    """The browser failed, or is not installed."""


def find_browser() -> str | None:
    """Return the path of an installed browser, or None."""
    return next(filter(None, map(shutil.which, _NAMES)), None)


def take_image(page: Path, target: Path, *, width: int, height: int, is_dark: bool = False) -> None:
    """Take a screenshot of the upper part of a page.

    Args:
        page: the HTML file.
        target: the PNG file to write.
        width: width of the window, in pixels; at least 500, the browser's minimum.
        height: height of the window, in pixels.
        is_dark: use dark mode.

    Raises:
        BrowserError: no screenshot was written.
    """
    scheme = [_DARK] if is_dark else []
    _run(page, f"--screenshot={target}", f"--window-size={width},{height}", *scheme)
    if not target.exists():
        message = f"the browser wrote no screenshot of {page}"
        raise BrowserError(message)


def content_after_scripts(page: Path, *options: str) -> str:
    """Return the HTML of a page after its scripts have run.

    Args:
        page: the HTML file.
        *options: further options of the browser, such as `--virtual-time-budget=5000`, in milliseconds.

    Raises:
        BrowserError: the browser exited with an error.
    """
    return _run(page, "--dump-dom", *options)


def _run(page: Path, *options: str) -> str:
    browser = find_browser()
    if browser is None:
        message = f"no browser found: install one of {', '.join(_NAMES)}"
        raise BrowserError(message)
    with tempfile.TemporaryDirectory() as profile:
        command = [browser, *_OPTIONS, f"--user-data-dir={profile}", *options, page.resolve().as_uri()]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=_SECONDS)  # noqa: S603
    if done.returncode:
        message = f"the browser exited with {done.returncode}: {done.stderr[-500:]}"
        raise BrowserError(message)
    return done.stdout
