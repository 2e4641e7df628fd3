"""The summary has the worst verdicts first, escapes all text, and fits GitHub's limits."""

from pathlib import Path

import pytest

from pytest_diffopt.baselines.limit_changes import BaselineChange, ChangeKind, LimitChange
from pytest_diffopt.baselines.since_revision import BaselineComparison
from pytest_diffopt.errors import DiffoptError
from pytest_diffopt.guards.verdict import Outcome
from pytest_diffopt.reports.github_summary import (
    SUMMARY_LIMIT_BYTES,
    append_step_summary,
    render,
    write_summary_file,
)
from pytest_diffopt.reports.summary import Summary
from pytest_diffopt.session.ledger import BrokenTest, Ledger
from pytest_diffopt.session.unmet_requirements import UnmetRequirement
from tests.unit.reports.verdict_examples import entry, ledger

SLOWER = entry(
    Outcome.REGRESSED,
    nodeid="test_it.py::test_latency[sdxl-bf16|sdpa]",
    explanation=("diffopt: the call became slower by 20.0 %", "  ```"),
    figures={"median_ns": 12e6, "accepted_median_ns": 10e6},
)
SLOWER_NAME = "<code>test&#95;it.py&#58;&#58;test&#95;latency&#91;sdxl-bf16&#124;sdpa&#93;</code>"
COMPARISON = BaselineComparison(
    base="origin/main (123456789)",
    changes=(
        BaselineChange(
            path="baselines/cpu/a.json",
            kind=ChangeKind.LOOSENED,
            limits=(LimitChange(name="latency_ns", before=10e6, after=15e6),),
            reason="it has to",
        ),
        BaselineChange(path="baselines/cpu/b.json", kind=ChangeKind.ADDED),
    ),
)


def summary(
    found: Ledger,
    *unmet_requirements: UnmetRequirement,
    baselines: BaselineComparison | None = None,
    setting: str = "device cpu",
) -> Summary:
    """Build the input of a summary."""
    return Summary(ledger=found, unmet_requirements=unmet_requirements, setting=setting, baselines=baselines)


def test_the_whole_summary() -> None:
    """Headline, unmet requirements, baselines, failed verdicts with explanations, skipped tests, passed verdicts."""
    found = ledger(entry(nodeid="test_good"), SLOWER, skipped={"test_gpu": "needs a GPU: run with --diffopt-gpu"})
    text = render(
        summary(
            found, UnmetRequirement(text="lost 1 worker", is_failure=True), baselines=COMPARISON, setting="device cpu"
        )
    )

    assert text.splitlines() == [
        "## diffopt: failed",
        "",
        "2 verdicts&#58; 1 passed, 1 regressed",
        "",
        "device cpu",
        "",
        "",
        "**Not proven:**",
        "",
        "- lost 1 worker",
        "",
        "### Baselines",
        "",
        "baselines since origin/main (123456789)&#58; 1 loosened, 1 added",
        "",
        "|  | baseline | allowed | reason |",
        "| --- | --- | --- | --- |",
        "| **loosened** | <code>baselines/cpu/a.json</code> "
        "| latency&#95;ns 10.0 ms -&#62; 15.0 ms (+50.0 %) | it has to |",
        "| added | <code>baselines/cpu/b.json</code> |  |  |",
        "",
        "|  | concern | pipeline | recipe | old -&gt; new | test |",
        "| --- | --- | --- | --- | --- | --- |",
        "| **regressed** | latency | <code>sdxl</code> | <code>bf16</code> | median 10.0 ms -&#62; 12.0 ms (+20.0 %) "
        f"| {SLOWER_NAME} |",
        "",
        "",
        f"<details><summary>regressed: {SLOWER_NAME}</summary>",
        "",
        "````text",
        "diffopt: the call became slower by 20.0 %",
        "  ```",
        "````",
        "",
        "</details>",
        "",
        "",
        "<details><summary>1 test skipped</summary>",
        "",
        "| tests | why | which |",
        "| --- | --- | --- |",
        "| 1 | needs a GPU&#58; run with --diffopt-gpu | <code>test&#95;gpu</code> |",
        "",
        "</details>",
        "",
        "<details><summary>1 verdict passed</summary>",
        "",
        "|  | concern | pipeline | recipe | old -&gt; new | test |",
        "| --- | --- | --- | --- | --- | --- |",
        "| passed | latency | <code>sdxl</code> | <code>bf16</code> | 10.0 ms | <code>test&#95;good</code> |",
        "",
        "</details>",
        "",
    ]


@pytest.mark.parametrize(
    ("made_from", "state"),
    [
        (summary(ledger(entry())), "passed"),
        (summary(ledger(entry(), SLOWER)), "failed"),
        (summary(ledger(entry()), UnmetRequirement(text="lost", is_failure=True)), "failed"),
        (summary(ledger(entry()), UnmetRequirement(text="skipped", is_failure=False)), "passed, with gaps"),
        (summary(Ledger()), "nothing was judged"),
    ],
)
def test_the_headline_has_the_state_of_the_run(made_from: Summary, state: str) -> None:
    """An unmet requirement changes the headline too."""
    assert render(made_from).startswith(f"## diffopt: {state}\n")


def test_a_broken_test_is_listed_and_fails_the_headline() -> None:
    """It has no verdict, so the table has no row for it."""
    found = ledger(entry())
    found.broken.append(BrokenTest(nodeid="test_<b>", reason="ZeroDivisionError", details="line 1\nline 2"))
    text = render(summary(found))

    assert text.startswith("## diffopt: failed\n")
    assert (
        "**1 test failed without a verdict:**\n\n"
        "<details><summary><code>test&#95;&#60;b&#62;</code> ZeroDivisionError</summary>\n\n"
        "```text\nline 1\nline 2\n```" in text
    )


def test_baselines_that_cannot_be_compared_are_reported() -> None:
    """No message would look like no change."""
    problem = BaselineComparison(base="origin/main", problem="this is a shallow clone")

    assert "baselines were not compared with origin/main&#58; this is a shallow clone" in render(
        summary(ledger(entry()), baselines=problem)
    )
    assert "baselines since origin/main (1)&#58; unchanged" in render(
        summary(ledger(entry()), baselines=BaselineComparison(base="origin/main (1)"))
    )


def test_a_pipeline_named_like_a_tag_is_escaped() -> None:
    """No part of the name becomes markup."""
    found = ledger(entry(Outcome.REGRESSED, pipeline="<script>`x`|", explanation=("diffopt: <b>\n```\n@all",)))
    text = render(summary(found))

    assert "<script>" not in text
    assert "| <code>&#60;script&#62;&#96;x&#96;&#124;</code> |" in text
    assert "diffopt: <b> ``` @all\n````" in text


def test_a_summary_that_is_too_large_is_cut_at_the_end_of_each_section() -> None:
    """Headline and worst verdicts stay, each section has the number of omitted items, and tables stay valid."""
    good = [entry(nodeid=f"test_good_{number}") for number in range(500)]
    bad = [entry(Outcome.MISSING, nodeid=f"test_bad_{number}", explanation=("x" * 100,)) for number in range(500)]
    text = render(summary(ledger(*good, *bad, SLOWER), baselines=COMPARISON), limit_bytes=20_000)

    assert len(text.encode()) <= 20_000
    assert text.startswith("## diffopt: failed\n\n1001 verdicts")
    assert "**loosened**" in text
    assert text.index("**regressed**") < text.index("**missing**")
    omitted = [line for line in text.splitlines() if " omitted: " in line]
    assert [line.split(" ", 1)[1] for line in omitted][:2] == [
        "verdicts omitted: GitHub accepts no larger summary.",
        "explanations omitted: GitHub accepts no larger summary.",
    ]
    assert int(omitted[0].split()[0]) == 501 - text.count("| **") + 1  # the loosened baseline has a row too


def test_a_thousand_verdicts_are_not_cut() -> None:
    """They fit GitHub's limit."""
    text = render(summary(ledger(*(entry(nodeid=f"test_{number}") for number in range(1000)))))

    assert "omitted" not in text
    assert len(text.encode()) < SUMMARY_LIMIT_BYTES


def test_commands_of_one_step_share_its_limit(tmp_path: Path) -> None:
    """Existing content stays; GitHub would reject the whole file if it exceeded the limit."""
    path = tmp_path / "summary"
    path.write_bytes(b"x" * (SUMMARY_LIMIT_BYTES - 1000))
    append_step_summary(path, summary(ledger(*(entry(nodeid=f"test_{number}") for number in range(100)))))
    content = path.read_text(encoding="utf-8")

    assert len(content) <= SUMMARY_LIMIT_BYTES
    assert content.startswith("xxx")
    assert "## diffopt: passed" in content


def test_an_unwritable_file_is_a_diffopt_error(tmp_path: Path) -> None:
    """The message has the option or the variable, the value and the reason."""
    (tmp_path / "file").write_text("")
    path = tmp_path / "file/summary.md"
    with pytest.raises(DiffoptError) as of_option:
        write_summary_file(path, "")
    with pytest.raises(DiffoptError) as of_github:
        append_step_summary(path, summary(Ledger()))

    assert str(of_option.value) == f"--diffopt-summary must name a file that can be written, got: {path} (File exists)"
    assert str(of_github.value) == (
        f"GITHUB_STEP_SUMMARY names a file that cannot be written, got: {path} (Not a directory)"
    )
