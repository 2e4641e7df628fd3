"""`python -m pytest_diffopt summary DIR` prints the summary of a report that was written, with links into its page."""

import re
from pathlib import Path

import pytest

from pytest_diffopt.__main__ import main
from pytest_diffopt.reports.github_summary import SUMMARY_LIMIT_BYTES
from pytest_diffopt.reports.writing import write_report
from tests.unit.reports.report_examples import full_report, report, syncs

URL = "https://github.com/owner/name/actions/runs/1/artifacts/2?a=1&b=2"


def test_it_is_that_of_the_session(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Headline, verdicts, what broke and what was skipped, from the document alone; without an URL no link."""
    write_report(tmp_path, full_report())

    assert main(["summary", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert text.startswith(
        "## diffopt: failed\n\n26 verdicts&#58; 13 passed, 12 regressed, 1 missing\n\n"
        "NVIDIA H200 · torch 2.13.0 · diffusers 0.42.1\n"
    )
    assert "**1 test failed without a verdict:**" in text
    assert "<details><summary>3 tests skipped</summary>" in text
    assert "<a " not in text


def test_each_check_leads_to_its_part_of_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """GitHub shows no image out of an artefact, and a page that can be opened shows all of them."""
    write_report(tmp_path, full_report())
    main(["summary", str(tmp_path), "--page", URL])
    text = capsys.readouterr().out
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    # Below its line in the table the explanation of each bad check has the link once more.
    links = re.findall(
        r'<a href="https://github.com/owner/name/actions/runs/1/artifacts/2\?a=1&amp;b=2#(case-\d+)">', text
    )

    assert len(set(links)) == 26
    for anchor in links:
        assert f'id="{anchor}"' in page
    first = page.partition('id="case-1"')[2].partition("</details>")[0]
    assert '<span class="tag">images</span>' in first
    assert re.search(r"\| \*\*regressed\*\* \| images \|.*#case-1\">", text)


def test_it_fits_into_githubs_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The links count, too."""
    write_report(tmp_path, report([syncs(num_steps=1)] * 3000))
    main(["summary", str(tmp_path), "--page", URL])
    text = capsys.readouterr().out

    assert 0.9 * SUMMARY_LIMIT_BYTES < len(text.encode()) <= SUMMARY_LIMIT_BYTES
    assert "left out: GitHub takes no larger summary." in text


def test_it_lists_the_baselines_that_the_change_loosened(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As the session saw them, which had the repository."""
    write_report(tmp_path, full_report())
    main(["summary", str(tmp_path)])

    assert (
        "| **loosened** | <code>baselines/nvidia-h200/suites/test&#95;sdxl/test&#95;latency.json</code> "
        "| latency&#95;ns 2.31 s -&#62; 2.50 s (+8.2 %) | a safer kernel |"
    ) in capsys.readouterr().out


def test_a_folder_without_a_report_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A session that ended before its tests wrote none."""
    assert main(["summary", str(tmp_path)]) == 2
    assert capsys.readouterr().err.splitlines() == [
        f"error: the report {tmp_path / 'report.json'} cannot be read: No such file or directory",
        "  name the folder that --diffopt-report wrote",
    ]


@pytest.mark.parametrize(
    "url",
    ["javascript:alert(1)", "https://a b", 'https://a"b', "https://a#case-1", "https://a|b", "https://a)b", "page"],
)
def test_what_is_no_url_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], url: str) -> None:
    """Markdown and HTML would take a part of it for something else."""
    with pytest.raises(SystemExit) as caught:
        main(["summary", str(tmp_path), "--page", url])

    assert caught.value.code == 2
    assert f"argument --page: must be a whole https URL without #, got: {url}" in capsys.readouterr().err
