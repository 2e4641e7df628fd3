"""`--diffopt-summary FILE` and GitHub's own variable: the session in Markdown."""

from pathlib import Path

import pytest

ONE_BAD = """
from planted_verdicts import takes

def test_good():
    takes(100)

def test_slower():
    takes(120, pipeline="<script>")
"""


@pytest.fixture
def page(planted: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pretend to be a job of GitHub Actions, whose page something was written to before."""
    path = planted.path / "page"
    path.write_text("# before\n", encoding="utf-8")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(path))
    return path


def test_the_file_holds_the_worst_first(planted: pytest.Pytester) -> None:
    """The slower call with old and new, and no markup but ours."""
    planted.makepyfile(test_it=ONE_BAD)
    planted.runpytest_inprocess("--diffopt-summary", "out/summary.md")
    text = (planted.path / "out/summary.md").read_text(encoding="utf-8")

    assert text.startswith("## diffopt: failed\n\n2 verdicts&#58; 1 passed, 1 regressed\n\ndevice cpu (syncs")
    assert (
        "| **regressed** | latency | <code>&#60;script&#62;</code> | <code>bf16</code> "
        "| median 100 ms -&#62; 120 ms (+20.0 %) | <code>test&#95;it.py&#58;&#58;test&#95;slower</code> |" in text
    )
    assert text.index("test&#95;slower") < text.index("test&#95;good")


def test_a_new_run_leaves_nothing_of_the_old_one(planted: pytest.Pytester) -> None:
    """Also where it ends before its tests."""
    planted.makepyfile(test_it=ONE_BAD)
    planted.runpytest_inprocess("--diffopt-summary=summary.md")
    planted.runpytest_inprocess("--diffopt-summary=summary.md", "--diffopt-require=nonsense")

    assert not (planted.path / "summary.md").read_text(encoding="utf-8")


def test_the_ini_twin_asks_for_it_too(planted: pytest.Pytester) -> None:
    """`diffopt_summary = FILE` is relative to the root."""
    planted.makeini("[pytest]\ndiffopt_summary = summary.md")
    planted.makepyfile(test_it=ONE_BAD)
    planted.runpytest_inprocess()

    assert (planted.path / "summary.md").is_file()


def test_a_file_that_cannot_be_written_ends_the_run_before_its_tests(planted: pytest.Pytester) -> None:
    """With the option, the value and the reason."""
    planted.makepyfile(test_it=ONE_BAD)
    result = planted.runpytest_inprocess("--diffopt-summary=test_it.py/summary.md")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert (
        "ERROR: diffopt: --diffopt-summary must name a file that can be written, "
        f"got: {planted.path / 'test_it.py/summary.md'} (File exists)" in result.errlines
    )


def test_githubs_page_gets_it_without_being_asked(planted: pytest.Pytester, page: Path) -> None:
    """After what stands there."""
    planted.makepyfile(test_it=ONE_BAD)
    planted.runpytest_inprocess()

    assert page.read_text(encoding="utf-8").startswith("# before\n## diffopt: failed\n")


def test_githubs_page_is_left_alone_by_other_tests(planted: pytest.Pytester, page: Path) -> None:
    """A project that only has the plugin installed sees nothing of it."""
    planted.makepyfile(test_it="def test_other(): pass")
    planted.runpytest_inprocess()

    assert page.read_text(encoding="utf-8") == "# before\n"


def test_a_page_that_cannot_be_written_changes_no_verdict(planted: pytest.Pytester, page: Path) -> None:
    """It is said, and the run stays green."""
    page.unlink()
    page.mkdir()
    planted.makepyfile(test_it="from planted_verdicts import takes\ndef test_good(): takes(100)")
    result = planted.runpytest_inprocess()

    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(
        [f"diffopt: GITHUB_STEP_SUMMARY names a file that cannot be written, got: {page} (Is a directory)"]
    )


def test_what_was_skipped_is_there_with_its_reason(planted: pytest.Pytester) -> None:
    """A run without a GPU says how much needs one."""
    planted.makepyfile(
        test_it="""
import pytest

@pytest.mark.gpu
@pytest.mark.diffopt
def test_on_the_card():
    pass
"""
    )
    planted.runpytest_inprocess("--diffopt-summary=summary.md")
    text = (planted.path / "summary.md").read_text(encoding="utf-8")

    assert text.startswith("## diffopt: nothing was judged\n")
    assert (
        "| 1 | needs a GPU&#58; run with --gpu | <code>test&#95;it.py&#58;&#58;test&#95;on&#95;the&#95;card</code> |"
        in text
    )
