"""What the tests of this folder share."""

from collections.abc import Callable
from typing import Any

import pytest

from pytest_diffopt.recipes.optimization import Optimization
from tests.unit.tiny_pipelines import tiny_sdxl


@pytest.fixture
def pipeline() -> Any:
    """Build a tiny SDXL that no recipe has touched."""
    return tiny_sdxl()


@pytest.fixture
def does_nothing(monkeypatch: pytest.MonkeyPatch) -> Callable[[type[Optimization]], None]:
    """Return a function that injects the fault which every `verify` is there for: `apply` that changes nothing."""

    def inject(kind: type[Optimization]) -> None:
        monkeypatch.setattr(kind, "apply", lambda _optimization, _pipeline: None)

    return inject
