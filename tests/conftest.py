"""Shared by all tests: pytester, no network access, and no environment variables of CI or xdist."""

import os

import pytest

collect_ignore = ["examples"]  # projects that tests run

pytest_plugins = ["pytester", "tests.requirements"]

os.environ["HF_HUB_OFFLINE"] = "1"  # huggingface_hub reads it once, at import
os.environ["OMP_NUM_THREADS"] = "1"  # for the subprocesses that tests start
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # else each of them compiles the package, and pytest's plugins, again


@pytest.fixture(autouse=True)
def outside_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the variables of the CI that runs the tests: tests of CI set their own."""
    for name in [name for name in os.environ if name == "CI" or name.startswith("GITHUB_")]:
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def outside_xdist(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove xdist's variables, so that sessions started by a test do not run as workers of this session."""
    for name in [name for name in os.environ if name.startswith("PYTEST_XDIST_")]:
        monkeypatch.delenv(name)
