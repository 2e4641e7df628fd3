"""Test the comment on a pull request of diffusers."""

import html
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from benchmarks.atlas.comment import Compared, comment, main
from benchmarks.atlas.entries import Entry
from benchmarks.diffusers_tests.results import Outcome
from tests.unit.benchmarks.atlas_examples import BAD, GOOD, NOT_BUILT, SIGMA_READ, TABLE

WAN, OLD, FLUX = "wanpipeline/test", "old/test_old", "flux/test_flux"
METHOD = "<sub>aaaaaaaaaa to bbbbbbbbbb, measured without a GPU: WanPipeline.</sub>"


def lines(
    before: Sequence[Entry], after: Sequence[Entry], touched: Sequence[str] = (WAN,), new: Sequence[str] = ()
) -> list[str]:
    """Return the lines of the comment."""
    compared = Compared(
        revisions=("a" * 40, "b" * 40), touched=tuple(touched), new=tuple(new), before=tuple(before), after=tuple(after)
    )
    return [html.unescape(line).replace("\u200b", "") for line in comment(compared).splitlines()]


def test_a_change_that_makes_figures_worse() -> None:
    """Each figure has its line of code."""
    assert lines([GOOD], [BAD]) == [
        "### 6 figures worse, 0 better in 1 pipeline",
        "",
        f"- 🔴 **WanPipeline**: +1 graph break in transformer ({TABLE})",
        "- 🔴 **WanPipeline**: +1 operation per step",
        "- 🔴 **WanPipeline**: +1 recompile of transformer",
        f"- 🔴 **WanPipeline**: +1 sync per step ({SIGMA_READ})",
        "- 🔴 **WanPipeline**: +3.00 MiB of memory stay between calls",
        "- 🔴 **WanPipeline**: the repeated blocks of transformer no longer compile: Unsupported: context manager",
        "",
        METHOD,
    ]


def test_a_change_that_makes_figures_better() -> None:
    """The same lines of code, marked as better."""
    found = lines([BAD], [GOOD])

    assert found[0] == "### 0 figures worse, 6 better in 1 pipeline"
    assert f"- 🟢 **WanPipeline**: -1 sync per step ({SIGMA_READ})" in found


def test_a_change_without_an_effect_lists_what_was_not_measured() -> None:
    """A test that does not run here, and one for which no time was left, are named."""
    assert lines([GOOD, NOT_BUILT], [GOOD, NOT_BUILT], [WAN, OLD, FLUX]) == [
        "### No figure changed in 1 pipeline",
        "",
        METHOD,
        "<sub>old/test_old does not run here: OSError: offline.</sub>",
        "<sub>Touched but not measured in the time limit: flux/test_flux.</sub>",
    ]


def test_a_new_pipeline_has_its_figures() -> None:
    """It has no counterpart at the merge base."""
    assert lines([], [BAD], new=[WAN])[:3] == [
        "### 0 figures worse, 0 better in 0 pipelines",
        "",
        f"- **WanPipeline** is new: 1 sync per step ({SIGMA_READ}); transformer: 1 graph break, 1 recompile",
    ]


def test_a_pipeline_that_no_longer_runs_is_named() -> None:
    """It is not merely unmeasured."""
    broken = Entry(group=GOOD.group, case=GOOD.case, outcome=Outcome.NOT_BUILT, reason="KeyError: 'vae'")

    assert lines([GOOD], [broken])[2] == (f"- 🔴 **{GOOD.name}** ran before, and is now not built: KeyError: 'vae'")


def test_an_untouched_checkout_needs_no_table() -> None:
    """A change of documentation touches no pipeline."""
    assert lines([], [], []) == ["### No pipeline's tests import what this change touches"]


def test_a_pipeline_that_one_side_alone_measured_is_left() -> None:
    """The time limit may end one side earlier: the pipeline is neither new nor compared."""
    found = lines([], [GOOD])

    assert not any("is new" in line for line in found)
    assert found[-1] == f"<sub>Touched but not measured in the time limit: {WAN}.</sub>"


COMPARED = Compared(revisions=("a" * 40, "b" * 40), touched=(WAN,), before=(GOOD,), after=(BAD,))


def test_a_text_of_a_pull_request_is_shown_literally() -> None:
    """A job that runs foreign code writes the file: it can neither mention anyone nor format anything."""
    hostile = msgspec.structs.replace(BAD, pipeline="@everyone <b>[x](http://x)")

    shown = comment(msgspec.structs.replace(COMPARED, after=(hostile,)))

    assert not any(part in shown for part in ("@everyone", "<b>", "](", "http://x"))


def test_the_comment_is_posted_from_the_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Through GitHub's CLI, with the marker that the next run looks for."""
    sent: list[str] = []

    def gh(command: Sequence[str], **kwargs: Any) -> subprocess.CompletedProcess[str]:
        sent.append(str(kwargs.get("input") or ""))
        return subprocess.CompletedProcess(command, 0, stdout="[]")

    monkeypatch.setattr(subprocess, "run", gh)
    (tmp_path / "compared.json").write_bytes(msgspec.json.encode(COMPARED))

    main([str(tmp_path / "compared.json"), "--repository", "huggingface/diffusers", "--pull-request", "12"])

    assert json.loads(sent[-1])["body"] == f"<!-- pytest-diffopt: atlas -->\n{comment(COMPARED)}"
    assert capsys.readouterr().out == "created the comment on huggingface/diffusers#12\n"


def test_another_file_is_not_posted(tmp_path: Path) -> None:
    """The message names the file and the command that writes one."""
    (tmp_path / "compared.json").write_text("{}")
    arguments = [str(tmp_path / "compared.json"), "--repository", "a/b", "--pull-request", "1"]

    with pytest.raises(SystemExit, match=r"compared\.json is not what `python -m benchmarks\.atlas\.pull_request"):
        main(arguments)
