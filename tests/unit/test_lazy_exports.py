"""The public names are imported at first use."""

import subprocess
import sys

import pytest

import pytest_diffopt


@pytest.mark.parametrize("name", pytest_diffopt.__all__)
def test_every_public_name_resolves(name: str) -> None:
    """Each is an object with this `__name__`; the version is a string."""
    found = getattr(pytest_diffopt, name)

    assert (isinstance(found, str) and name == "__version__") or found.__name__ == name


def test_the_public_names_are_sorted_and_have_a_module() -> None:
    """An exported name without a module would fail at its first use."""
    lazy = [name for name in pytest_diffopt.__all__ if name != "__version__"]

    assert pytest_diffopt.__all__ == sorted(pytest_diffopt.__all__)
    assert lazy == list(pytest_diffopt._HOMES)
    assert dir(pytest_diffopt) == pytest_diffopt.__all__


def test_an_unknown_name_is_an_attribute_error() -> None:
    """The message is Python's own."""
    with pytest.raises(AttributeError) as error:
        pytest_diffopt.assert_everything  # noqa: B018 - the access is tested

    assert str(error.value) == "module 'pytest_diffopt' has no attribute 'assert_everything'"


def test_importing_the_package_imports_no_torch() -> None:
    """Pytest imports it at every start."""
    script = "import sys, pytest_diffopt; print(sorted({'torch', 'diffusers', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)

    assert done.stdout == "[]\n"
