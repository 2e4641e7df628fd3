"""What every test of the plugin shares: pytester, no network, and no trace of the machine that runs them."""

import os

import pytest

pytest_plugins = ["pytester"]

os.environ["HF_HUB_OFFLINE"] = "1"  # huggingface_hub reads it once, when it is imported
os.environ["OMP_NUM_THREADS"] = "1"  # for the subprocesses that tests start


@pytest.fixture(autouse=True)
def outside_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the tests say themselves when they are in CI, and in whose."""
    for name in [name for name in os.environ if name == "CI" or name.startswith("GITHUB_")]:
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def outside_xdist(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the sessions that tests start not take themselves for a worker of this one."""
    for name in [name for name in os.environ if name.startswith("PYTEST_XDIST_")]:
        monkeypatch.delenv(name)
