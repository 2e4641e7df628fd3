"""Test which rows of the sync table a comparison confirms, with example readings."""

from benchmarks.agreement import Agreement, Reading
from benchmarks.agreement_rows import compared_rows


def call(case: str, simulated: int, real: int, *, flops: int = 0) -> Agreement:
    """Return both readings of one call: the number of syncs, and the simulated FLOPs, of which CUDA counts none."""

    def reading(syncs: int, flops: int) -> Reading:
        lines = {"a.py:1": syncs} if syncs else {}
        return Reading(syncs=lines, all_syncs=lines, flops=flops, launches=1, peak_bytes=0)

    return Agreement(case=case, is_pipeline=False, simulated=reading(simulated, flops), real=reading(real, 0))


def test_row_agrees_if_all_its_calls_do() -> None:
    """One call with other syncs is enough to differ; a call without a row is left out."""
    calls = [call("first", 1, 1), call("second", 2, 2), call("third", 1, 2), call("fourth", 1, 1), call("other", 1, 1)]
    rows = compared_rows(calls, {"first": "item", "second": "isin", "third": "isin", "fourth": "copy", "other": ""})

    assert rows.agreed == {"item", "copy"}
    assert rows.differed == {"isin"}


def test_row_without_syncs_is_not_confirmed() -> None:
    """A row that ended with an earlier release makes no syncs: nothing confirms it."""
    rows = compared_rows([call("normal", 0, 0)], {"normal": "normal with a tensor of deviations"})

    assert rows.agreed == frozenset()
    assert rows.differed == {"normal with a tensor of deviations"}


def test_other_figures_do_not_matter() -> None:
    """FLOPs differ, syncs agree: the row is confirmed."""
    assert compared_rows([call("pinv", 1, 1, flops=9)], {"pinv": "linalg check"}).agreed == {"linalg check"}
