"""`--diffopt-summary FILE` and `GITHUB_STEP_SUMMARY`: the Markdown summary of a session."""

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
    """Set the environment of a GitHub Actions job whose summary already has content."""
    path = injected.path / "page"
    path.write_text("# before\n", encoding="utf-8")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(path))
    return path


def test_the_file_has_the_worst_verdict_first(injected: pytest.Pytester) -> None:
    """The slower call has its old and new time, and text is escaped."""
    injected.makepyfile(test_it=ONE_BAD)
    injected.runpytest_inprocess("--diffopt-summary", "out/summary.md")
    text = (injected.path / "out/summary.md").read_text(encoding="utf-8")

    assert text.startswith("## diffopt: failed\n\n2 verdicts&#58; 1 passed, 1 regressed\n\ndevice cpu (syncs")
    assert (
        "| **regressed** | latency | <code>&#60;script&#62;</code> | <code>bf16</code> "
        "| median 100 ms -&#62; 120 ms (+20.0 %) | <code>test&#95;it.py&#58;&#58;test&#95;slower</code> |" in text
    )
    assert text.index("test&#95;slower") < text.index("test&#95;good")


def test_a_new_run_removes_the_old_summary(injected: pytest.Pytester) -> None:
    """Even if it ends before its tests."""
    injected.makepyfile(test_it=ONE_BAD)
    injected.runpytest_inprocess("--diffopt-summary=summary.md")
    injected.runpytest_inprocess("--diffopt-summary=summary.md", "--diffopt-require=nonsense")

    assert not (injected.path / "summary.md").read_text(encoding="utf-8")


def test_the_ini_option_writes_a_summary(injected: pytest.Pytester) -> None:
    """`diffopt_summary = FILE` is relative to the root folder."""
    injected.makeini("[pytest]\ndiffopt_summary = summary.md")
    injected.makepyfile(test_it=ONE_BAD)
    injected.runpytest_inprocess()

    assert (injected.path / "summary.md").is_file()


def test_an_unwritable_file_is_an_error_before_the_tests(injected: pytest.Pytester) -> None:
    """The message has the option, the value and the reason."""
    injected.makepyfile(test_it=ONE_BAD)
    result = injected.runpytest_inprocess("--diffopt-summary=test_it.py/summary.md")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert (
        "ERROR: diffopt: --diffopt-summary must name a file that can be written, "
        f"got: {injected.path / 'test_it.py/summary.md'} (File exists)" in result.errlines
    )


def test_the_step_summary_is_written_without_an_option(injected: pytest.Pytester, page: Path) -> None:
    """It is appended to existing content."""
    injected.makepyfile(test_it=ONE_BAD)
    injected.runpytest_inprocess()

    assert page.read_text(encoding="utf-8").startswith("# before\n## diffopt: failed\n")


def test_without_diffopt_tests_the_step_summary_is_unchanged(injected: pytest.Pytester, page: Path) -> None:
    """The plugin can be installed in a project that does not use it."""
    injected.makepyfile(test_it="def test_other(): pass")
    injected.runpytest_inprocess()

    assert page.read_text(encoding="utf-8") == "# before\n"


def test_an_unwritable_step_summary_does_not_fail_the_run(injected: pytest.Pytester, page: Path) -> None:
    """The problem is reported in the terminal."""
    page.unlink()
    page.mkdir()
    injected.makepyfile(test_it="from injected_verdicts import takes\ndef test_good(): takes(100)")
    result = injected.runpytest_inprocess()

    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(
        [f"diffopt: GITHUB_STEP_SUMMARY names a file that cannot be written, got: {page} (Is a directory)"]
    )


def test_skipped_tests_are_listed_with_their_reason(injected: pytest.Pytester) -> None:
    """A run without a GPU shows how many tests need one."""
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
    test = "<code>test&#95;it.py&#58;&#58;test&#95;on&#95;the&#95;gpu</code>"
    assert f"| 1 | needs a GPU&#58; run with --diffopt-gpu | {test} |" in text
