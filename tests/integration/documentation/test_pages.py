"""Every code block of a page is run, or gives the reason why not."""

import ast
from pathlib import Path

import pytest

import pytest_diffopt
from tests.integration.documentation.pages import BLOCKS, PAGES, Block, blocks_of, place
from tests.integration.documentation.reading import HANDLERS, MY_PIPELINES, Reader


@pytest.mark.usefixtures("warm_processes")
@pytest.mark.parametrize("page", [page for page in PAGES if blocks_of(page)], ids=place)
def test_the_examples_of_a_page_run_as_shown(project: pytest.Pytester, page: Path) -> None:
    """Tests pass or fail as the page shows, with the output that it shows."""
    project.makeini("[pytest]\n")
    project.makepyfile(my_pipelines=MY_PIPELINES)
    Reader(project=project).read(blocks_of(page))


@pytest.mark.parametrize("block", BLOCKS, ids=place)
def test_a_block_has_a_language_with_a_handler(block: Block) -> None:
    """An indented block, or one in an unknown language, would not be checked."""
    assert block.language in HANDLERS


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language == "python"], ids=place)
def test_python_is_valid_and_imports_public_names(block: Block) -> None:
    """This includes blocks that are not run."""
    imports = [node for node in ast.walk(ast.parse(block.text)) if isinstance(node, ast.ImportFrom)]
    names = [name.name for node in imports if node.module == "pytest_diffopt" for name in node.names]

    assert [name for name in names if name not in pytest_diffopt.__all__] == []
