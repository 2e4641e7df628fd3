"""What the page of results refuses to show: rehearsals, two machines, files that cannot be trusted."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.results_page import __main__ as results_page
from benchmarks.results_page.__main__ import read_figures
from benchmarks.results_page.reading import FiguresError
from tests.unit.benchmarks.results_page_examples import (
    CPU,
    H200,
    LADDER,
    TABLE,
    timed,
    written,
)

DOCS = Path(__file__).parents[3] / "docs"


def test_a_rehearsal_is_not_shown_as_results(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The exit code is 2, and no page is written."""
    file = written(tmp_path / "ladder.json", LADDER, environment=CPU, is_rehearsal=True)
    out = tmp_path / "page.md"

    assert results_page.main(["--ladder", str(file), "--out", str(out)]) == 2
    assert capsys.readouterr().err == (
        f"results_page: {file} is a rehearsal, in which nothing is measured; "
        "with --rehearsal it makes a page that says so\n"
    )
    assert not out.exists()


def test_a_rehearsal_never_becomes_the_page_of_the_documentation(capsys: pytest.CaptureFixture[str]) -> None:
    """However it is spelt."""
    before = (DOCS / "results.md").read_bytes()

    assert results_page.main(["--rehearsal", "--out", str(DOCS / ".." / "docs" / "results.md")]) == 2
    assert capsys.readouterr().err == (
        "results_page: a rehearsal cannot be shown as results: --out must be another file than docs/results.md\n"
    )
    assert (DOCS / "results.md").read_bytes() == before


def test_a_measurement_is_not_shown_as_a_rehearsal(tmp_path: Path) -> None:
    """It would be marked as nothing."""
    file = written(tmp_path / "ladder.json", LADDER)

    with pytest.raises(FiguresError) as error:
        read_figures({"ladder": file}, is_rehearsal=True)

    assert str(error.value) == (f"{file} was measured on a GPU: a page of a rehearsal (--rehearsal) must not show it")


def test_figures_of_two_machines_never_share_a_page(tmp_path: Path) -> None:
    """Both are named."""
    ladders = written(tmp_path / "ladder.json", LADDER)
    table = written(
        tmp_path / "table.json", TABLE, command="table", environment=H200 | {"device": "NVIDIA A100-SXM4-80GB"}
    )

    with pytest.raises(FiguresError) as error:
        read_figures({"ladder": ladders, "table": table})

    assert str(error.value) == (
        f"{table} and {ladders} must be of one machine with the same versions, got: "
        "NVIDIA A100-SXM4-80GB, torch 2.13.0+cu130, cuda 13.0 and NVIDIA H200, torch 2.13.0+cu130, cuda 13.0"
    )


def changed(**changes: object) -> Callable[[dict[str, Any]], None]:
    """Return what changes keys of a file."""
    return lambda document: document.update(changes)


def with_case(name: str, figures: dict[str, Any]) -> Callable[[dict[str, Any]], None]:
    """Return what gives a file one case alone."""
    return changed(cases={name: figures})


FIRST = "diffusion-fast-1-fp32"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (changed(command="table"), 'cannot be shown as the ladder: its command is "table"'),
        (changed(kind="guessed"), 'cannot be trusted: kind: must be "measured" or a rehearsal\'s, got: "guessed"'),
        (changed(more=1), "cannot be trusted: more: unknown key"),
        (changed(environment={"device": "a GPU"}), "cannot be trusted: environment.versions: missing"),
        (
            with_case("diffusion-fast-7-more", timed(1.0)),
            'cannot be trusted: cases: the ladder has no case "diffusion-fast-7-more"; another version wrote it',
        ),
        (
            with_case(FIRST, {"recipe": "fp32"}),
            f'cannot be trusted: cases, "{FIRST}": weights: missing',
        ),
        (
            with_case(FIRST, timed(1.0, call_seconds=[1.0, -2.0])),
            f'cannot be trusted: cases, "{FIRST}": call_seconds[1]: must be float > 0.0, got: -2.0',
        ),
        (
            with_case(FIRST, {"failed": 7}),
            f'cannot be trusted: cases, "{FIRST}": failed: must be str, got: 7',
        ),
    ],
    ids=["command", "kind", "key", "machine", "case", "missing", "negative", "reason"],
)
def test_a_file_that_cannot_be_trusted_is_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], told: str
) -> None:
    """The file, the key, the rule and the value."""
    file = written(tmp_path / "ladder.json", LADDER)
    document = json.loads(file.read_text(encoding="utf-8"))
    change(document)
    file.write_text(json.dumps(document), encoding="utf-8")

    with pytest.raises(FiguresError) as error:
        read_figures({"ladder": file})

    assert str(error.value) == f"{file} {told}"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"{", "cannot be trusted: it is not valid JSON: "),
        (b"[]", "cannot be trusted: : must be object, got: []"),
    ],
    ids=["missing", "half", "other"],
)
def test_what_is_no_file_of_results_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, told: str
) -> None:
    """In one line, without a traceback."""
    file = tmp_path / "ladder.json"
    if content is not None:
        file.write_bytes(content)

    assert results_page.main(["--ladder", str(file), "--out", str(tmp_path / "page.md")]) == 2
    assert capsys.readouterr().err.startswith(f"results_page: {file} {told}")


def test_a_page_that_cannot_be_written_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where, and the system's reason."""
    (tmp_path / "file").touch()
    out = tmp_path / "file" / "page.md"

    assert results_page.main(["--out", str(out)]) == 2
    assert capsys.readouterr().err.startswith(f"results_page: {out} cannot be written: ")
