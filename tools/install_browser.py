"""Install Debian's Chromium, in which tests open pages, unless a browser is installed: `make browser`."""

import os
import shutil
import subprocess
import sys

from tools.browser import find_browser

_UPDATE = ("apt-get", "-qq", "update")
_INSTALL = ("apt-get", "-qq", "install", "--yes", "--no-install-recommends", "chromium")
_BY_HAND = "install Chromium or Chrome by hand"


def main() -> None:
    """Print the path of the browser.

    Raises:
        SystemExit: no browser could be installed; its message has the reason.
    """
    browser = find_browser() or _installed()
    print(f"browser: {browser}")  # noqa: T201 - a command


def _installed() -> str:
    if shutil.which("apt-get") is None:
        sys.exit(f"no browser is installed, and there is no apt-get to install one: {_BY_HAND}")
    is_root = os.geteuid() == 0
    if not is_root and shutil.which("sudo") is None:
        sys.exit(f"no browser is installed, and only root can install one: {_BY_HAND}")
    as_root = () if is_root else ("sudo", "--non-interactive")
    variables = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (_UPDATE, _INSTALL):
        done = subprocess.run([*as_root, *command], env=variables, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            output = (done.stderr or done.stdout).strip()
            sys.exit(f"{' '.join(command)} exited with {done.returncode}: {_BY_HAND}\n{output}")
    browser = find_browser()
    if browser is None:
        sys.exit(f"the package chromium was installed, but contains no browser that is found: {_BY_HAND}")
    return browser


if __name__ == "__main__":
    main()
