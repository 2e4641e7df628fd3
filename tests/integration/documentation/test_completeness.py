"""What users can write stands where they look for it."""

import pytest

import pytest_diffopt
from tests.integration.documentation.pages import ROOT
from tests.integration.test_cli_surface import FIXTURES, INI_NAMES, OPTIONS

OPTIONS_PAGE = (ROOT / "docs/options.md").read_text(encoding="utf-8")
GUARDS_PAGE = (ROOT / "docs/guards/index.md").read_text(encoding="utf-8")
GUARDS = [name for name in [*pytest_diffopt.__all__, *FIXTURES] if name.startswith("assert_") or "_baseline" in name]


@pytest.mark.parametrize("name", [*OPTIONS, *INI_NAMES, *FIXTURES])
def test_the_page_of_options_has_it(name: str) -> None:
    """Options, ini names and fixtures."""
    assert f"`{name}" in OPTIONS_PAGE


@pytest.mark.parametrize("name", GUARDS)
def test_a_guard_has_a_page(name: str) -> None:
    """The overview leads to each."""
    assert f"| [`{name}`](" in GUARDS_PAGE
