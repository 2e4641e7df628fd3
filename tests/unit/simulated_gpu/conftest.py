"""Fixtures of the tests of the simulated GPU."""

import pytest

from pytest_diffopt.simulated_gpu import device


@pytest.fixture(autouse=True)
def _without_search_for_leftovers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip the search through all objects of the process at the end of each block, except in the tests of it.

    These tests keep tensors in local variables, for each of which the search would take a tenth of a second.
    """
    if request.path.stem != "test_leftovers":
        monkeypatch.setattr(device, "evict_leftovers", lambda _ledger: None)
