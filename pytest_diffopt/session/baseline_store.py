"""The session's baselines."""

import pytest

from pytest_diffopt.baselines.store import BaselineStore
from pytest_diffopt.session.settings import settings_of

_STORE = pytest.StashKey[BaselineStore]()


def store_of(config: pytest.Config) -> BaselineStore:
    """Return the baselines of this session."""
    settings = settings_of(config)
    return config.stash.setdefault(_STORE, BaselineStore(settings.baselines_folder, settings.update))
