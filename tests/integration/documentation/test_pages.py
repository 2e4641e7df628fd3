"""Every block of code that a page shows is run, or says why it is not."""

import ast
from pathlib import Path

import pytest

import pytest_diffopt
from tests.integration.documentation.pages import BLOCKS, PAGES, Block, blocks_of, place
from tests.integration.documentation.reading import HABITS, MY_PIPELINES, Reader


@pytest.mark.parametrize("page", [page for page in PAGES if blocks_of(page)], ids=place)
def test_a_page_holds_for_whoever_does_what_it_says(project: pytest.Pytester, page: Path) -> None:
    """Its tests pass or fail as it shows, and print what it shows."""
    project.makeini("[pytest]\n")
    project.makepyfile(my_pipelines=MY_PIPELINES)
    Reader(project=project).read(blocks_of(page))


@pytest.mark.parametrize("block", BLOCKS, ids=place)
def test_a_block_is_of_a_language_that_somebody_runs(block: Block) -> None:
    """An indented block, or one of another language, would be looked at by nobody."""
    assert block.language in HABITS


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language == "python"], ids=place)
def test_python_can_be_parsed_and_imports_what_there_is(block: Block) -> None:
    """Also where it is not run."""
    imports = [node for node in ast.walk(ast.parse(block.text)) if isinstance(node, ast.ImportFrom)]
    names = [name.name for node in imports if node.module == "pytest_diffopt" for name in node.names]

    assert [name for name in names if name not in pytest_diffopt.__all__] == []
