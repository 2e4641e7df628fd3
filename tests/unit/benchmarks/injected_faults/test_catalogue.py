"""Test the declared faults: their number, unique names, and existing pipelines and recipes."""

import argparse
from pathlib import Path

import pytest

from benchmarks.injected_faults.catalogue import FAULTS, find_fault
from pytest_diffopt.pipelines.registry import find_pipeline
from pytest_diffopt.recipes.grammar import parse_recipe

ROOT = Path(__file__).parents[4]
REQUIRED_FAULTS = 40


def test_at_least_40_distinct_faults() -> None:
    """Names and descriptions are unique."""
    assert len(FAULTS) >= REQUIRED_FAULTS
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
    assert len({fault.imitates for fault in FAULTS}) == len(FAULTS)


def test_pipelines_and_recipes_exist() -> None:
    """Each pipeline ships trained weights, and each recipe can be parsed."""
    for fault in FAULTS:
        assert find_pipeline(fault.pipeline).ships_weights
        assert parse_recipe(fault.recipe)


def test_docs_list_every_fault() -> None:
    """The tables in the docs contain exactly the declared faults."""
    page = (ROOT / "docs" / "injected-faults.md").read_text(encoding="utf-8")
    listed = {line.split("`")[1] for line in page.splitlines() if line.startswith("| `") and line.count("|") == 6}

    assert listed == {fault.name for fault in FAULTS}


def test_unknown_name_suggests_the_nearest() -> None:
    """The message suggests the nearest name and lists all names."""
    with pytest.raises(argparse.ArgumentTypeError) as raised:
        find_fault("seed-ignord")

    assert str(raised.value).startswith("unknown fault 'seed-ignord' (did you mean 'seed-ignored'?); known: ")
    assert find_fault("seed-ignored").name == "seed-ignored"
