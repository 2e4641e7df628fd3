"""The installed plugin imports no heavy package in a project without diffopt tests."""

import subprocess
import sys

import pytest

import pytest_diffopt

HEAVY = ("torch", "numpy", "diffusers", "transformers", "skimage", "scipy", "msgspec", "pytest_diffopt.records")
SHOW_HEAVY = f"import sys; print([name for name in {HEAVY} if name in sys.modules])"


def test_importing_the_plugin_imports_nothing_heavy() -> None:
    """Pytest imports the plugin at every start, in every project."""
    code = f"import pytest_diffopt.plugin.hooks; {SHOW_HEAVY}"
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=600)

    assert shown.stdout == "[]\n"


def test_a_session_without_diffopt_tests_imports_nothing_heavy(pytester: pytest.Pytester) -> None:
    """From the header to the summary, in which no line speaks of this plugin."""
    pytester.makeini("[pytest]\naddopts = -p no:cacheprovider -p no:benchmark")
    pytester.makeconftest(f"def pytest_unconfigure(config): {SHOW_HEAVY}")
    pytester.makepyfile(test_it="def test_other(): pass")
    result = pytester.runpytest_subprocess("-v", timeout=600)

    result.assert_outcomes(passed=1)
    assert result.outlines[-1] == "[]"
    result.stdout.no_fnmatch_line("*diffopt: *")


def test_the_public_names_are_imported_at_first_use() -> None:
    """Every name in `__all__` exists."""
    assert all(hasattr(pytest_diffopt, name) for name in pytest_diffopt.__all__)
    assert dir(pytest_diffopt) == pytest_diffopt.__all__


def test_an_unknown_name_is_an_attribute_error() -> None:
    """The message is Python's own."""
    with pytest.raises(AttributeError, match=r"^module 'pytest_diffopt' has no attribute 'assert_fast'$"):
        pytest_diffopt.assert_fast  # noqa: B018 - the access is tested
