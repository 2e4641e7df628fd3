"""With pytest-xdist each worker takes its own card, and the verdicts are those of one process."""

import xml.etree.ElementTree as ET

import pytest

pytest.importorskip("xdist")

# In workers, too, there is a card.
CARDS = """
from pytest_diffopt import collection
from pytest_diffopt.reports import header

collection._require_gpu = lambda: None
header.gpu_name = lambda: "a fake card"
"""
EIGHT = """
import os
import pathlib
import time

import pytest
from planted_verdicts import takes

@pytest.mark.diffopt
@pytest.mark.parametrize("number", range(8))
def test_on_a_card(number, worker_id):
    pathlib.Path(f"card-of-{worker_id}").write_text(os.environ["CUDA_VISIBLE_DEVICES"])
    takes(102 + number)
    time.sleep(0.2)  # so that every worker has its turn
"""
NAMES = ["0", "3", "GPU-8f3c", "MIG-1a2b"]


@pytest.fixture
def four_cards(planted: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Make a project on a machine with four cards, named in every way that CUDA knows."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", ",".join(NAMES))
    planted.makeconftest(CARDS)
    planted.makepyfile(test_it=EIGHT)
    return planted


def verdicts(project: pytest.Pytester, junit: str) -> dict[str, list[tuple[str | None, str | None]]]:
    """Return every figure of every test."""
    tree = ET.parse(project.path / junit)  # noqa: S314 - our own file
    return {
        str(case.get("name")): [(one.get("name"), one.get("value")) for one in case.iterfind("properties/property")]
        for case in tree.iterfind(".//testcase")
    }


def run(project: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    """Run in a process of its own, as workers do."""
    with_xdist = ("-p", "xdist", "-p", "no:benchmark", "-p", "no:randomly")
    return project.runpytest_subprocess(*with_xdist, "--gpu", *arguments, timeout=300)


def test_auto_starts_a_worker_for_each_card(four_cards: pytest.Pytester) -> None:
    """Each sees one, no two the same, and together they come to the verdicts of one process."""
    spread = run(four_cards, "-n", "auto", "--junit-xml=spread.xml")
    seen = sorted(path.read_text() for path in four_cards.path.glob("card-of-gw*"))
    run(four_cards, "-n", "0", "--junit-xml=alone.xml")

    spread.stdout.fnmatch_lines(["*4 workers*"])
    assert seen == NAMES
    assert verdicts(four_cards, "spread.xml") == verdicts(four_cards, "alone.xml")
    assert len(verdicts(four_cards, "alone.xml")) == 8


def test_two_workers_on_one_card_are_refused(four_cards: pytest.Pytester) -> None:
    """Before anything is measured."""
    result = run(four_cards, "-n", "5")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [
            "ERROR: diffopt: --gpu gives each worker a card of its own, got: 5 workers (-n) and 4 cards; "
            "-n auto starts one for each"
        ]
    )
