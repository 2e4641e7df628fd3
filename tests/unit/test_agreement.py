"""Test how readings of the simulated GPU and of CUDA are compared, explained and formatted, with example readings."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks.agreement import Agreement, Figure, Limit, Reading, Verdict, judge, report, summary
from benchmarks.agreement_page import section_lines, write_section
from benchmarks.on_gpu.results import ResultsError

ENVIRONMENT = {"device": "null NVIDIA H200", "versions": {"torch": "2.14.1", "cuda": "13.0"}}


def reading(
    syncs: dict[str, int], *, flops: int | None = 10, launches: int = 100, peak_bytes: int = 1000, chosen: str = ""
) -> Reading:
    """Return a reading of one device."""
    choices = {"a call": chosen} if chosen else {}
    return Reading(syncs=syncs, all_syncs=syncs, flops=flops, launches=launches, peak_bytes=peak_bytes, choices=choices)


def agreement(simulated: Reading, real: Reading, case: str = "row: one", *, is_pipeline: bool = False) -> Agreement:
    """Return both readings of one case."""
    return Agreement(case=case, is_pipeline=is_pipeline, simulated=simulated, real=real)


SAME = agreement(reading({"a.py:1": 2}), reading({"a.py:1": 2}))
OTHER = agreement(
    reading({"a.py:1": 3, "b.py:2": 1}), reading({"a.py:1": 1, "c.py:3": 4}, flops=12, peak_bytes=2000), "row: other"
)


def figures(one: Agreement) -> list[Figure]:
    """Return the figures in which the devices differ."""
    return [found.figure for found in one.disagreements()]


def judged(agreements: Sequence[Agreement], *limits: Limit) -> Verdict:
    """Judge agreements without failures."""
    return judge(agreements, {}, limits)


def test_syncs_are_joined_by_line() -> None:
    """Syncs are counted per line, separately for both devices and for each alone."""
    assert OTHER.seen_by_both == {"a.py:1": 1}
    assert OTHER.only_simulated == {"a.py:1": 2, "b.py:2": 1}
    assert OTHER.only_real == {"c.py:3": 4}


def test_each_figure_is_compared() -> None:
    """Syncs are compared by line, FLOPs exactly; memory and launches of a single call are not judged."""
    assert figures(SAME) == []
    assert [str(one) for one in OTHER.disagreements()] == [
        f"row: other: {kind}: {line}"
        for kind in ("syncs that the sync debug mode reports", "all syncs")
        for line in ("a.py:1: simulated 3, CUDA 1", "b.py:2: simulated 1, CUDA 0", "c.py:3: simulated 0, CUDA 4")
    ] + ["row: other: FLOPs: simulated 10, CUDA 12"]


def test_syncs_that_the_debug_mode_does_not_report_are_compared() -> None:
    """The debug mode's syncs agree, and one that it does not report is missing."""
    real = Reading(syncs={}, all_syncs={"a.py:1": 1}, flops=10, launches=100, peak_bytes=1000)

    assert figures(agreement(reading({}), real)) == [Figure.ALL_SYNCS]


@pytest.mark.parametrize(
    ("launches", "peak_bytes", "expected"),
    [
        (102, 1010, []),
        (98, 990, []),
        (103, 1000, [Figure.LAUNCHES]),
        (100, 1011, [Figure.PEAK]),
        (0, 0, [Figure.LAUNCHES, Figure.PEAK]),
    ],
)
def test_memory_and_launches_of_a_pipeline_have_a_tolerance(
    launches: int, peak_bytes: int, expected: list[Figure]
) -> None:
    """Launches may differ by 2 %, the peak by 1 %."""
    simulated = reading({}, launches=launches, peak_bytes=peak_bytes)

    assert figures(agreement(simulated, reading({}), is_pipeline=True)) == expected


def test_peak_ratio_without_allocations() -> None:
    """The ratio is 1 if neither device allocates, and None if only the real one does not."""
    nothing, something = reading({}, peak_bytes=0), reading({}, peak_bytes=512)

    assert agreement(nothing, nothing).peak_ratio == 1.0
    assert agreement(something, nothing).peak_ratio is None


def test_uncounted_flops_are_not_compared() -> None:
    """At full size CUDA's FLOPs are not counted."""
    assert figures(agreement(reading({}), reading({}, flops=None))) == []


def test_chosen_attention_kernels_are_compared() -> None:
    """A call with another kernel is named."""
    (found,) = agreement(reading({}, chosen="flash"), reading({}, chosen="cudnn")).disagreements()

    assert str(found) == "row: one: attention kernels: a call: simulated flash, CUDA cudnn"


def test_stated_limit_explains_a_disagreement() -> None:
    """What a limit names is explained, and nothing else of the case."""
    limit = Limit(case="row: other", figures=(Figure.SYNCS, Figure.ALL_SYNCS), reason="a reason")

    assert [one.figure for one in judged([OTHER], limit).unexplained] == [Figure.FLOPS]
    assert not judged([OTHER], limit).is_true


def test_limit_without_effect_fails() -> None:
    """A limit must be removed once the devices agree; limits of cases that were not compared are left alone."""
    verdict = judged(
        [SAME],
        Limit(case="row: one", figures=(Figure.SYNCS,), reason="a reason"),
        Limit(case="row: not compared", figures=(Figure.SYNCS,), reason="a reason"),
    )

    assert [str(one) for one in verdict.unexplained] == [
        "row: one: stated limits: syncs that the sync debug mode reports agree; remove the limit"
    ]


def test_expected_failure_is_a_limit() -> None:
    """A case that CUDA's side cannot run is explained; any other failed case makes the comparison fail."""
    limit = Limit(case="row: first", figures=(Figure.NOT_COMPARED,), reason="a reason")
    verdict = judge([], {"row: first": "IndexError", "row: second": "KeyError"}, [limit])

    assert verdict.failures == {"row: second": "KeyError"}
    assert verdict.limits == [limit]
    assert not verdict.is_true
    assert judge([], {"row: first": "IndexError"}, [limit]).is_true


def test_report_names_each_disagreement() -> None:
    """The table is followed by limits, unexplained disagreements, failures and the summary."""
    verdict = judge(
        [SAME, OTHER],
        {"row: third": "RuntimeError: no"},
        [Limit(case="row: other", figures=(Figure.SYNCS, Figure.ALL_SYNCS), reason="a reason")],
    )

    assert list(report(verdict)) == [
        "case        syncs both  only simulated  only CUDA  all syncs    FLOPs   launches   peak",
        "row: one             2               0          0      2 / 2    equal  100 / 100  1.000",
        "row: other           1               3          4      4 / 5  10 / 12  100 / 100  0.500",
        "",
        "explained by a stated limit:",
        "  row: other: a reason",
        "",
        "unexplained:",
        "  row: other: FLOPs: simulated 10, CUDA 12",
        "",
        "not compared, because the case failed:",
        "  row: third: RuntimeError: no",
        "",
        (
            "of 2 cases the simulated GPU and CUDA agree on syncs that the sync debug mode reports in 1, "
            "all syncs in 1, FLOPs in 1"
        ),
    ]


def test_summary_without_cases() -> None:
    """Without cases every count is 0."""
    assert summary(judged([])).startswith("of 0 cases the simulated GPU and CUDA agree on")


def test_section_is_written_between_the_markers(tmp_path: Path) -> None:
    """The rest of the page stays; groups are counted, pipelines have a row each, and limits a line."""
    page = tmp_path / "page.md"
    page.write_text(
        "before\n<!-- written by make truth: begin -->\nold\n<!-- written by make truth: end -->\nafter\n",
        encoding="utf-8",
    )
    tiny = agreement(
        reading({"a.py:1": 2}, peak_bytes=2**20),
        reading({"a.py:1": 2}, peak_bytes=2**20),
        "tiny: sdxl",
        is_pipeline=True,
    )
    write_section(page, judged([SAME, tiny]), ENVIRONMENT)

    text = page.read_text(encoding="utf-8")
    assert text.startswith(
        "before\n<!-- written by make truth: begin -->\nCompared with null NVIDIA H200 (torch 2.14.1,"
    )
    assert text.endswith("No disagreement is left.\n<!-- written by make truth: end -->\nafter\n")
    assert "| `sdxl`, tiny | 2 / 2 | 100 / 100 | 1.00 / 1.00 | 1.0000 |" in text
    assert "| calls of the sync table's test | 1 | 1 | 1 | 1 |" in text
    assert "old" not in text


def test_section_lists_the_limits() -> None:
    """Each limit that applies has a line with its reason."""
    limit = Limit(case="row: other", figures=(Figure.SYNCS, Figure.ALL_SYNCS, Figure.FLOPS), reason="a reason")

    assert "- `row: other`: a reason" in list(section_lines(judged([OTHER], limit), ENVIRONMENT))


def test_page_without_markers_is_refused(tmp_path: Path) -> None:
    """The message names the lines that are missing, and the page is unchanged."""
    page = tmp_path / "page.md"
    page.write_text("text\n", encoding="utf-8")

    with pytest.raises(ResultsError, match="must have the lines <!-- written by make truth: begin -->"):
        write_section(page, judged([SAME]), ENVIRONMENT)
    assert page.read_text(encoding="utf-8") == "text\n"
