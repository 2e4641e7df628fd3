"""Any content of a baseline file is read, or refused with a `DiffoptError`."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_diffopt.baselines.codec import decode, encode
from pytest_diffopt.baselines.documents import Baseline
from pytest_diffopt.baselines.limit_changes import compare
from tests.fuzz.inputs import json_inputs, only_diffopt_errors, share
from tests.unit.baselines.baseline_examples import compiled, counts, latency, memory

FILE = Path("baselines/case.json")
EXAMPLES: list[Baseline] = [latency(), memory(), counts(unmodelled=("aten::x",)), compiled(breaks=1)]
VALID = [encode(example, file=FILE) for example in EXAMPLES]


@pytest.mark.parametrize("number", range(len(EXAMPLES)), ids=[type(example).__name__ for example in EXAMPLES])
@share(0.1)
@given(data=st.data())
def test_reading_a_baseline(number: int, data: st.DataObject) -> None:
    """Baselines of each kind."""
    raw = data.draw(json_inputs(VALID[number]))

    only_diffopt_errors(lambda: decode(raw, type(EXAMPLES[number]), file=FILE))


@share(0.05)
@given(before=st.sampled_from(VALID), after=st.sampled_from(VALID).flatmap(json_inputs))
def test_comparing_two_versions_of_a_baseline(before: bytes, after: bytes) -> None:
    """A pull request may contain any content: every pair of files has a kind of change."""
    assert compare(str(FILE), before, after).kind
    assert compare(str(FILE), after, before).kind
