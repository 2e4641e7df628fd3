"""`--diffopt-summary FILE` and GitHub's own variable: the session in Markdown."""

from pathlib import Path

import pytest

ONE_BAD = """
from injected_verdicts import takes

def test_good():
    takes(100)

def test_slower():
    takes(120, pipeline="<script>")
"""


@pytest.fixture
def page(injected: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pretend to be a job of GitHub Actions, whose page something was written to before."""
    path = injected.path / "page"
    path.write_text("# before\n", encoding="utf-8")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(path))
    return path


def test_the_file_holds_the_worst_first(injected: pytest.Pytester) -> None:
    """The slower call with old and new, and no markup but ours."""
    injected.makepyfile(test_it=ONE_BAD)
    injected.runpytest_inprocess("--diffopt-summary", "out/summary.md")
    text = (injected.path / "out/summary.md").read_text(encoding="utf-8")

    assert text.startswith("## diffopt: failed\n\n2 verdicts&#58; 1 passed, 1 regressed\n\ndevice cpu (syncs")
    assert (
        "| **regressed** | latency | <code>&#60;script&#62;</code> | <code>bf16</code> "
        "| median 100 ms -&#62; 120 ms (+20.0 %) | <code>test&#95;it.py&#58;&#58;test&#95;slower</code> |" in text
    )
    assert text.index("test&#95;slower") < text.index("test&#95;good")


def test_a_new_run_leaves_nothing_of_the_old_one(injected: pytest.Pytester) -> None:
    """Also where it ends before its tests."""
    injected.makepyfile(test_it=ONE_BAD)
    injected.runpytest_inprocess("--diffopt-summary=summary.md")
    injected.runpytest_inprocess("--diffopt-summary=summary.md", "--diffopt-require=nonsense")

    assert not (injected.path / "summary.md").read_text(encoding="utf-8")


def test_the_ini_counterpart_asks_for_it_too(injected: pytest.Pytester) -> None:
    """`diffopt_summary = FILE` is relative to the root."""
    injected.makeini("[pytest]\ndiffopt_summary = summary.md")
    injected.makepyfile(test_it=ONE_BAD)
    injected.runpytest_inprocess()

    assert (injected.path / "summary.md").is_file()


def test_a_file_that_cannot_be_written_ends_the_run_before_its_tests(injected: pytest.Pytester) -> None:
    """With the option, the value and the reason."""
    injected.makepyfile(test_it=ONE_BAD)
    result = injected.runpytest_inprocess("--diffopt-summary=test_it.py/summary.md")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert (
        "ERROR: diffopt: --diffopt-summary must name a file that can be written, "
        f"got: {injected.path / 'test_it.py/summary.md'} (File exists)" in result.errlines
    )


def test_githubs_page_gets_it_without_being_asked(injected: pytest.Pytester, page: Path) -> None:
    """After what stands there."""
    injected.makepyfile(test_it=ONE_BAD)
    injected.runpytest_inprocess()

    assert page.read_text(encoding="utf-8").startswith("# before\n## diffopt: failed\n")


def test_githubs_page_is_left_alone_by_other_tests(injected: pytest.Pytester, page: Path) -> None:
    """A project that only has the plugin installed sees nothing of it."""
    injected.makepyfile(test_it="def test_other(): pass")
    injected.runpytest_inprocess()

    assert page.read_text(encoding="utf-8") == "# before\n"


def test_a_page_that_cannot_be_written_changes_no_verdict(injected: pytest.Pytester, page: Path) -> None:
    """It is said, and the run stays green."""
    page.unlink()
    page.mkdir()
    injected.makepyfile(test_it="from injected_verdicts import takes\ndef test_good(): takes(100)")
    result = injected.runpytest_inprocess()

    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(
        [f"diffopt: GITHUB_STEP_SUMMARY names a file that cannot be written, got: {page} (Is a directory)"]
    )


def test_what_was_skipped_is_there_with_its_reason(injected: pytest.Pytester) -> None:
    """A run without a GPU says how much needs one."""
    injected.makepyfile(
        test_it="""
import pytest

@pytest.mark.gpu
@pytest.mark.diffopt
def test_on_the_gpu():
    pass
"""
    )
    injected.runpytest_inprocess("--diffopt-summary=summary.md")
    text = (injected.path / "summary.md").read_text(encoding="utf-8")

    assert text.startswith("## diffopt: nothing was judged\n")
    assert (
        "| 1 | needs a GPU&#58; run with --gpu | <code>test&#95;it.py&#58;&#58;test&#95;on&#95;the&#95;GPU</code> |"
        in text
    )
