"""Every option, ini name, fixture and guard is documented."""

import pytest

import pytest_diffopt
from tests.integration.documentation.pages import ROOT
from tests.integration.test_cli_surface import FIXTURES, INI_NAMES, OPTIONS

OPTIONS_PAGE = (ROOT / "docs/options.md").read_text(encoding="utf-8")
GUARDS_PAGE = (ROOT / "docs/guards/index.md").read_text(encoding="utf-8")
GUARDS = [name for name in [*pytest_diffopt.__all__, *FIXTURES] if name.startswith("assert_") or "_baseline" in name]


@pytest.mark.parametrize("name", [*OPTIONS, *INI_NAMES, *FIXTURES])
def test_the_options_page_documents_each_name(name: str) -> None:
    """Each option, ini name and fixture is on docs/options.md."""
    assert f"`{name}" in OPTIONS_PAGE


@pytest.mark.parametrize("name", GUARDS)
def test_a_guard_has_a_page(name: str) -> None:
    """The overview of the guards links to it."""
    assert f"| [`{name}`](" in GUARDS_PAGE
