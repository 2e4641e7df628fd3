"""`make browser` installs a browser where there is none, and fails with the reason where it cannot."""

import subprocess
from collections.abc import Sequence
from typing import Any

import pytest

from tools import install_browser


class Machine:
    """A machine with apt-get, on which each command is recorded instead of run."""

    def __init__(self) -> None:
        self.browser: str | None = None
        self.commands: list[list[str]] = []
        self.failing = ""
        self.brings_a_browser = True

    def find_browser(self) -> str | None:
        """Return the path of the browser."""
        return self.browser

    def run(self, command: Sequence[str], **_options: Any) -> "subprocess.CompletedProcess[str]":
        """Record a command."""
        self.commands.append(list(command))
        if self.failing in command:
            return subprocess.CompletedProcess(command, 100, stdout="", stderr="E: no network\n")
        if "install" in command and self.brings_a_browser:
            self.browser = "/usr/bin/chromium"
        return subprocess.CompletedProcess(command, 0, stdout="", stderr="")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Replace the machine."""
    one = Machine()
    monkeypatch.setattr(install_browser, "find_browser", one.find_browser)
    monkeypatch.setattr("shutil.which", lambda _name: "/usr/bin/apt-get")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("subprocess.run", one.run)
    return one


def test_an_installed_browser_is_used(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is installed."""
    machine.browser = "/usr/bin/google-chrome"
    install_browser.main()

    assert capsys.readouterr().out == "browser: /usr/bin/google-chrome\n"
    assert machine.commands == []


def test_a_missing_browser_is_installed(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    """Quietly, without packages that are only recommended."""
    install_browser.main()

    assert capsys.readouterr().out == "browser: /usr/bin/chromium\n"
    assert machine.commands == [
        ["apt-get", "-qq", "update"],
        ["apt-get", "-qq", "install", "--yes", "--no-install-recommends", "chromium"],
    ]


def test_another_user_than_root_needs_sudo(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """It fails instead of asking for a password."""
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    install_browser.main()

    assert [command[:3] for command in machine.commands] == [["sudo", "--non-interactive", "apt-get"]] * 2


def test_another_user_without_sudo_is_refused(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is run."""
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr("shutil.which", {"apt-get": "/usr/bin/apt-get"}.get)
    with pytest.raises(SystemExit, match="no browser is installed, and only root can install one: install Chromium"):
        install_browser.main()

    assert machine.commands == []


@pytest.mark.parametrize("step", ["update", "install"])
def test_a_failed_installation_is_reported(machine: Machine, step: str) -> None:
    """With the command, its exit code, and apt-get's message."""
    machine.failing = step
    with pytest.raises(SystemExit) as error:
        install_browser.main()

    command = " ".join(machine.commands[-1])
    assert error.value.code == f"{command} exited with 100: install Chromium or Chrome by hand\nE: no network"


def test_a_package_without_a_browser_is_reported(machine: Machine) -> None:
    """Ubuntu's package of this name contains a program that installs another one."""
    machine.brings_a_browser = False
    with pytest.raises(SystemExit, match="the package chromium was installed, but contains no browser that is found"):
        install_browser.main()


def test_another_system_is_reported(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no apt-get."""
    monkeypatch.setattr("shutil.which", lambda _name: None)
    with pytest.raises(SystemExit, match="no browser is installed, and there is no apt-get to install one: install"):
        install_browser.main()

    assert machine.commands == []
