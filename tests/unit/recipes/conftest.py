"""Fixtures for tests of recipes."""

from collections.abc import Callable
from typing import Any

import pytest

from pytest_diffopt.recipes.optimization import Optimization
from tests.unit.tiny_pipelines import tiny_sdxl


@pytest.fixture
def pipeline() -> Any:
    """Build a tiny SDXL without a recipe."""
    return tiny_sdxl()


@pytest.fixture
def does_nothing(monkeypatch: pytest.MonkeyPatch) -> Callable[[type[Optimization]], None]:
    """Return a function that injects the fault that every `verify` must detect: `apply` does nothing."""

    def inject(kind: type[Optimization]) -> None:
        monkeypatch.setattr(kind, "apply", lambda _optimization, _pipeline: None)

    return inject
