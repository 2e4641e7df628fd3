"""The public names are there when they are used, and cost nothing before."""

import subprocess
import sys

import pytest

import pytest_diffopt


@pytest.mark.parametrize("name", pytest_diffopt.__all__)
def test_every_public_name_resolves(name: str) -> None:
    """To an object that calls itself so; the version is a text."""
    found = getattr(pytest_diffopt, name)

    assert (isinstance(found, str) and name == "__version__") or found.__name__ == name


def test_the_public_names_are_sorted_and_all_have_a_home() -> None:
    """A name that is exported and found nowhere would fail at its first use."""
    lazy = [name for name in pytest_diffopt.__all__ if name != "__version__"]

    assert pytest_diffopt.__all__ == sorted(pytest_diffopt.__all__)
    assert lazy == list(pytest_diffopt._HOMES)
    assert dir(pytest_diffopt) == pytest_diffopt.__all__


def test_an_unknown_name_is_an_attribute_error() -> None:
    """In Python's own words."""
    with pytest.raises(AttributeError) as error:
        pytest_diffopt.assert_everything  # noqa: B018 - asking is the test

    assert str(error.value) == "module 'pytest_diffopt' has no attribute 'assert_everything'"


def test_importing_the_package_imports_no_torch() -> None:
    """Pytest does so at every start."""
    script = "import sys, pytest_diffopt; print(sorted({'torch', 'diffusers', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)

    assert done.stdout == "[]\n"
