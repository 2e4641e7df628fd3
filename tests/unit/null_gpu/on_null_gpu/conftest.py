"""These tests run in a process on the null GPU, which `test_on_null_gpu.py` starts."""

import pytest

from pytest_diffopt.null_gpu.launching import is_active


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip them in any other process."""
    if not is_active():
        reason = "not on the null GPU: test_on_null_gpu.py runs it there"
        for item in items:
            if item.path.parent.name == "on_null_gpu":
                item.add_marker(pytest.mark.skip(reason=reason))
