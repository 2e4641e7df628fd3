"""Test how readings of the simulated and of a real GPU are compared and formatted, with example readings."""

from benchmarks.agreement import Agreement, Reading, report, summary


def reading(syncs: dict[str, int], *, flops: int = 10, peak_bytes: int = 1000) -> Reading:
    """Return a reading of one device."""
    return Reading(syncs=syncs, num_syncs=sum(syncs.values()), flops=flops, operations=5, peak_bytes=peak_bytes)


SAME = Agreement(case="same", simulated=reading({"a.py:1": 2}), real=reading({"a.py:1": 2}))
OTHER = Agreement(
    case="other",
    simulated=reading({"a.py:1": 3, "b.py:2": 1}),
    real=reading({"a.py:1": 1, "c.py:3": 4}, flops=12, peak_bytes=2000),
)


def test_syncs_are_joined_by_line() -> None:
    """Syncs are counted per line, separately for both devices and for each alone."""
    assert OTHER.seen_by_both == {"a.py:1": 1}
    assert OTHER.only_simulated == {"a.py:1": 2, "b.py:2": 1}
    assert OTHER.only_real == {"c.py:3": 4}


def test_agreement_is_per_figure() -> None:
    """Agreement on syncs, FLOPs and peak memory is determined separately."""
    assert SAME.agrees_on_syncs
    assert SAME.agrees_on_flops
    assert SAME.agrees_on_peak
    assert not OTHER.agrees_on_syncs
    assert not OTHER.agrees_on_flops
    assert not OTHER.agrees_on_peak


def test_peak_ratio_without_allocations() -> None:
    """The ratio is 1 if neither device allocates, and None if only the real one does not."""
    nothing, something = reading({}, peak_bytes=0), reading({}, peak_bytes=512)

    assert Agreement(case="", simulated=nothing, real=nothing).peak_ratio == 1.0
    assert Agreement(case="", simulated=something, real=nothing).peak_ratio is None


def test_report_names_each_disagreement() -> None:
    """The table is followed by every line that only one device reports, the failures and the summary."""
    assert list(report([SAME, OTHER], {"third": "RuntimeError: no"})) == [
        "case   syncs both  only simulated  only real  syncs / traced    FLOPs  ops / launches   peak",
        "same            2               0          0           2 / 2    equal           5 / 5  1.000",
        "other           1               3          4           4 / 5  10 / 12           5 / 5  0.500",
        "only simulated: 2 x a.py:1 (other)",
        "only simulated: 1 x b.py:2 (other)",
        "only real: 4 x c.py:3 (other)",
        "",
        "not compared, because the case failed:",
        "  third: RuntimeError: no",
        "",
        "of 2 cases: the same syncs in 1, equal FLOPs in 1, peak memory within 3% in 1",
    ]


def test_summary_without_cases() -> None:
    """Without cases every count is 0."""
    assert summary([]) == "of 0 cases: the same syncs in 0, equal FLOPs in 0, peak memory within 3% in 0"
