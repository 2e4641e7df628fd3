"""A test that uses any fixture of the plugin is a diffopt test."""

import ast
from pathlib import Path

from pytest_diffopt.plugin import fixtures
from pytest_diffopt.plugin.markers import OUR_FIXTURES


def test_every_fixture_is_listed() -> None:
    """A test that uses only an unlisted fixture would not be a diffopt test."""
    tree = ast.parse(Path(fixtures.__file__).read_text(encoding="utf-8"))
    defined = {
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
        and any("pytest.fixture" in ast.unparse(decorator) for decorator in node.decorator_list)
    }

    assert defined == OUR_FIXTURES
