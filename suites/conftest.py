"""Which rungs of SDXL's ladders `make gate` leaves to `make ladders`."""

from collections.abc import Sequence

import pytest

# The highest rung holds all that these do: what one of them alone would show is where between both it broke.
_BETWEEN = ("[sdxl-diffusion-fast-4-", "[sdxl-diffusion-fast-5-", "[sdxl-modern-2-")


@pytest.hookimpl(tryfirst=True)  # before pytest asks for the marker
def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Call the rungs slow that compile and are not the highest."""
    for item in items:
        if item.path.name == "test_ladders.py" and any(rung in item.name for rung in _BETWEEN):
            item.add_marker(pytest.mark.slow)
