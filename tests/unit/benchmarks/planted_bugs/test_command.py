"""The command line: what it refuses, and what its exit code means."""

from pathlib import Path

import pytest

from benchmarks.planted_bugs import __main__ as command
from tests.unit.benchmarks.planted_bugs.test_results import MISSED, STORED


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--only", "no-such-bug"], "there is no bug 'no-such-bug'"),
        (["--false-alarms", "--seeds", "0"], "it must be a whole number from 1, got: '0'"),
        (["--false-alarms", "--pipeline", "sd16"], "invalid choice: 'sd16'"),
    ],
)
def test_what_cannot_be_done_is_told(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is built."""
    with pytest.raises(SystemExit) as ended:
        command.main(arguments)

    assert ended.value.code == 2
    assert told in capsys.readouterr().err


def test_a_bug_that_nobody_caught_ends_it_with_1(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What was seen is written all the same."""
    page = tmp_path / "page.md"
    page.write_text("<!-- begin: planted bugs -->\n<!-- end: planted bugs -->\n", encoding="utf-8")
    monkeypatch.setattr(command, "_tried", lambda _bugs: [MISSED])
    code = command.main(["--json", str(tmp_path / "seen.json"), "--markdown", str(page)])

    assert code == 1
    assert '"bug": "missed"' in (tmp_path / "seen.json").read_text(encoding="utf-8")
    assert "0 of 1 (0 %) caught" in page.read_text(encoding="utf-8")


def test_caught_bugs_end_it_with_0(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a shell wants it."""
    monkeypatch.setattr(command, "_tried", lambda _bugs: [STORED])

    assert command.main([]) == 0
