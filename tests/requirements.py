"""What some tests need besides the test environment. They are skipped without it, or fail where it is required.

A test has the marker `needs("browser")`. The variable DIFFOPT_TESTS_REQUIRE holds the names that must be there,
separated by commas: a test that needs one of them and lacks it fails. CI sets it, so that no test is skipped
everywhere.
"""

import os
from collections.abc import Callable
from importlib import import_module

import pytest

from tools.browser import find_browser

#: The environment variable with the names of what must be there.
VARIABLE = "DIFFOPT_TESTS_REQUIRE"


def _without_browser() -> str:
    return "" if find_browser() else "no Chromium is installed; make browser installs it"


def _without_docs() -> str:
    return _not_imported("material", extra="docs")


def _without_lpips() -> str:
    return _not_imported("torchmetrics", extra="lpips") or _not_imported("torchvision", extra="lpips")


def _not_imported(module: str, *, extra: str) -> str:
    try:
        import_module(module)
    except (ImportError, RuntimeError) as error:  # torchvision raises a RuntimeError beside another torch
        return f"{module} of the extra {extra} cannot be imported: {error}"
    return ""


#: The name of each requirement, and a function that returns why it is not met; empty if it is met.
REQUIREMENTS: dict[str, Callable[[], str]] = {
    "browser": _without_browser,
    "docs": _without_docs,
    "lpips": _without_lpips,
}


def required() -> frozenset[str]:
    """Return the names in DIFFOPT_TESTS_REQUIRE.

    Raises:
        pytest.UsageError: it has an unknown name.
    """
    names = frozenset(name.strip() for name in os.environ.get(VARIABLE, "").split(",") if name.strip())
    unknown = sorted(names - REQUIREMENTS.keys())
    if unknown:
        msg = f"{VARIABLE} must have names of {', '.join(REQUIREMENTS)}, got: {', '.join(unknown)}"
        raise pytest.UsageError(msg)
    return names


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and refuse unknown requirements."""
    config.addinivalue_line("markers", f"needs(*names): skip without one of {', '.join(REQUIREMENTS)}")
    required()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose requirement is not met, or fail it if the requirement must be met."""
    for name in [name for marker in item.iter_markers("needs") for name in marker.args]:
        missing = REQUIREMENTS[name]()
        if missing and name in required():
            pytest.fail(f"{VARIABLE} has {name}, but {missing}", pytrace=False)
        if missing:
            pytest.skip(missing)
