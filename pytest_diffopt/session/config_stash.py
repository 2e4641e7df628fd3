"""What the plugin keeps on pytest's own objects, each with its type."""

from typing import TYPE_CHECKING

import pytest

from pytest_diffopt.session.settings import Settings

if TYPE_CHECKING:  # at run time these are imported when a session begins, not when pytest looks at its plugins
    from pytest_diffopt.baselines import BaselineStore
    from pytest_diffopt.session.ledger import Ledger
    from pytest_diffopt.session.pipeline_lifetimes import WatchedPipelines

#: The attribute of a test report that carries verdicts; xdist sends a report's attributes to the controller.
CARRIED = "diffopt_entries"
#: The attribute that carries what became of a test of ours.
CARRIED_CASE = "diffopt_case"

_SETTINGS = pytest.StashKey[Settings]()
_STORE = pytest.StashKey["BaselineStore"]()
_LEDGER = pytest.StashKey["Ledger"]()
_PIPELINES = pytest.StashKey["WatchedPipelines"]()


def settings_of(config: pytest.Config) -> Settings:
    """Return what the user asked for."""
    return config.stash[_SETTINGS]


def keep_settings(config: pytest.Config, settings: Settings) -> None:
    """Keep what the user asked for."""
    config.stash[_SETTINGS] = settings


def ledger_of(config: pytest.Config) -> "Ledger":
    """Return this session's verdicts."""
    from pytest_diffopt.session.ledger import Ledger  # noqa: PLC0415 - see above

    return config.stash.setdefault(_LEDGER, Ledger())


def watched_pipelines_of(config: pytest.Config) -> "WatchedPipelines":
    """Return what is known of this session's pipelines."""
    from pytest_diffopt.session.pipeline_lifetimes import WatchedPipelines  # noqa: PLC0415 - see above

    return config.stash.setdefault(_PIPELINES, WatchedPipelines())


def store_of(config: pytest.Config) -> "BaselineStore":
    """Return this session's baselines."""
    from pytest_diffopt.baselines import BaselineStore  # noqa: PLC0415 - see above

    settings = settings_of(config)
    return config.stash.setdefault(_STORE, BaselineStore(settings.baselines_folder, settings.update))
