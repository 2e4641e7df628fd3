"""`python -m pytest_diffopt summary DIR` prints the summary of a written report, with links into its page."""

import re
from pathlib import Path

import pytest

from pytest_diffopt.__main__ import main
from pytest_diffopt.reports.github_summary import SUMMARY_LIMIT_BYTES
from pytest_diffopt.reports.writing import write_report
from tests.unit.reports.report_examples import full_report, report, syncs

URL = "https://github.com/owner/name/actions/runs/1/artifacts/2?a=1&b=2"


def test_the_summary_is_complete(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Headline, verdicts, broken and skipped tests; without `--page` there are no links."""
    write_report(tmp_path, full_report())

    assert main(["summary", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert text.startswith(
        "## diffopt: failed\n\n31 verdicts&#58; 14 passed, 16 regressed, 1 missing\n\n"
        "NVIDIA H200 · torch 2.13.0 · diffusers 0.42.1\n"
    )
    assert "**1 test failed without a verdict:**" in text
    assert "<details><summary>3 tests skipped</summary>" in text
    assert "<a " not in text


def test_each_check_links_to_its_case_on_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """GitHub's Markdown cannot show images of an artifact; the page shows them."""
    write_report(tmp_path, full_report())
    main(["summary", str(tmp_path), "--page", URL])
    text = capsys.readouterr().out
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    # The explanation of each failed check repeats the link of its table row.
    links = re.findall(
        r'<a href="https://github.com/owner/name/actions/runs/1/artifacts/2\?a=1&amp;b=2#(case-\d+)">', text
    )

    assert len(set(links)) == 31
    for anchor in links:
        assert f'id="{anchor}"' in page
    first = page.partition('id="case-1"')[2].partition("</details>")[0]
    assert '<span class="tag">images</span>' in first
    assert re.search(r"\| \*\*regressed\*\* \| images \|.*#case-1\">", text)


def test_the_summary_fits_githubs_limit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The limit includes the links."""
    write_report(tmp_path, report([syncs(num_steps=1)] * 3000))
    main(["summary", str(tmp_path), "--page", URL])
    text = capsys.readouterr().out

    assert 0.9 * SUMMARY_LIMIT_BYTES < len(text.encode()) <= SUMMARY_LIMIT_BYTES
    assert "omitted: GitHub accepts no larger summary." in text


def test_the_summary_lists_loosened_baselines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The report has them from the session, which compared the repository."""
    write_report(tmp_path, full_report())
    main(["summary", str(tmp_path)])

    assert (
        "| **loosened** | <code>baselines/nvidia-h200/suites/test&#95;sdxl/test&#95;latency.json</code> "
        "| latency&#95;ns 2.31 s -&#62; 2.50 s (+8.2 %) | a safer kernel |"
    ) in capsys.readouterr().out


def test_a_folder_without_a_report_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A session that ended before its tests writes no report."""
    assert main(["summary", str(tmp_path)]) == 2
    assert capsys.readouterr().err.splitlines() == [
        f"error: the report {tmp_path / 'report.json'} cannot be read: No such file or directory",
        "  name the folder that --diffopt-report wrote",
    ]


@pytest.mark.parametrize(
    "url",
    ["javascript:alert(1)", "https://a b", 'https://a"b', "https://a#case-1", "https://a|b", "https://a)b", "page"],
)
def test_an_invalid_url_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], url: str) -> None:
    """Parts of it could be markup in Markdown or HTML."""
    with pytest.raises(SystemExit) as caught:
        main(["summary", str(tmp_path), "--page", url])

    assert caught.value.code == 2
    assert f"argument --page: must be a whole https URL without #, got: {url}" in capsys.readouterr().err
