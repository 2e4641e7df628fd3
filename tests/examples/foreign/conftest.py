"""A project that knows nothing of diffusion: its marker and its fixtures have names of the plugin by chance."""

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line("markers", "gpu(model): the GPU for which a query is written")


@pytest.fixture(scope="session")
def optimized_pipeline() -> list[str]:
    """Return the steps of a data pipeline."""
    return ["extract", "load"]


@pytest.fixture
def pipeline_inputs() -> dict[str, int]:
    """Return the size of a table."""
    return {"rows": 3}
