"""The declared bugs: enough of them, each unlike the others, each of a pipeline and recipe that exist."""

import argparse
from pathlib import Path

import pytest

from benchmarks.injected_faults.catalogue import BUGS, find_bug
from pytest_diffopt.pipelines.registry import find_pipeline
from pytest_diffopt.recipes.grammar import parse_recipe

ROOT = Path(__file__).parents[4]
PROMISED_BUGS = 40


def test_there_are_as_many_as_promised() -> None:
    """Each has a name and a description of its own."""
    assert len(BUGS) >= PROMISED_BUGS
    assert len({bug.name for bug in BUGS}) == len(BUGS)
    assert len({bug.imitates for bug in BUGS}) == len(BUGS)


def test_each_is_injected_into_what_exists() -> None:
    """Pipelines have trained weights, recipes can be read, and inputs are of the family's call or its own keyword."""
    for bug in BUGS:
        assert find_pipeline(bug.pipeline).ships_weights
        assert parse_recipe(bug.recipe)


def test_the_docs_name_every_bug() -> None:
    """The table in the docs is of the bugs that are declared, all of them and no others."""
    page = (ROOT / "docs" / "injected-faults.md").read_text(encoding="utf-8")
    told = {line.split("`")[1] for line in page.splitlines() if line.startswith("| `") and line.count("|") == 6}

    assert told == {bug.name for bug in BUGS}


def test_an_unknown_name_is_reported_with_the_nearest() -> None:
    """So that a misspelt option is fixed at once."""
    with pytest.raises(argparse.ArgumentTypeError) as raised:
        find_bug("seed-ignord")

    assert str(raised.value).startswith("there is no bug 'seed-ignord' (did you mean 'seed-ignored'?); there are: ")
    assert find_bug("seed-ignored").name == "seed-ignored"
