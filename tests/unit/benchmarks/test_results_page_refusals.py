"""Test what the page of results refuses: rehearsals, two machines, invalid files."""

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


def test_rehearsal_is_refused_as_measurement(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The exit code is 2, and no page is written."""
    file = written(tmp_path / "ladder.json", LADDER, environment=CPU, is_rehearsal=True)
    out = tmp_path / "page.md"

    assert results_page.main(["--ladder", str(file), "--out", str(out)]) == 2
    assert capsys.readouterr().err == (
        f"results_page: {file} is a rehearsal, not a measurement; --rehearsal writes a page that is marked as one\n"
    )
    assert not out.exists()


def test_rehearsal_does_not_overwrite_docs_page(capsys: pytest.CaptureFixture[str]) -> None:
    """The page in the docs is recognized by its resolved path."""
    before = (DOCS / "results.md").read_bytes()

    assert results_page.main(["--rehearsal", "--out", str(DOCS / ".." / "docs" / "results.md")]) == 2
    assert capsys.readouterr().err == ("results_page: a rehearsal has no results: --out must not be docs/results.md\n")
    assert (DOCS / "results.md").read_bytes() == before


def test_measurement_is_refused_as_rehearsal(tmp_path: Path) -> None:
    """A measurement would be marked as a rehearsal."""
    file = written(tmp_path / "ladder.json", LADDER)

    with pytest.raises(FiguresError) as error:
        read_figures({"ladder": file}, is_rehearsal=True)

    assert str(error.value) == f"{file} is a measurement, and cannot be shown on a page of a rehearsal (--rehearsal)"


def test_two_machines_are_refused(tmp_path: Path) -> None:
    """The message has both machines."""
    ladders = written(tmp_path / "ladder.json", LADDER)
    table = written(
        tmp_path / "table.json", TABLE, command="table", environment=H200 | {"device": "NVIDIA A100-SXM4-80GB"}
    )

    with pytest.raises(FiguresError) as error:
        read_figures({"ladder": ladders, "table": table})

    assert str(error.value) == (
        f"{table} and {ladders} must be from one machine with the same versions, got: "
        "NVIDIA A100-SXM4-80GB, torch 2.13.0+cu130, cuda 13.0 and NVIDIA H200, torch 2.13.0+cu130, cuda 13.0"
    )


def changed(**changes: object) -> Callable[[dict[str, Any]], None]:
    """Return a function that changes keys of a file."""
    return lambda document: document.update(changes)


def with_case(name: str, figures: dict[str, Any]) -> Callable[[dict[str, Any]], None]:
    """Return a function that replaces all cases by one."""
    return changed(cases={name: figures})


FIRST = "diffusion-fast-1-fp32"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (changed(command="table"), 'must be of the command ladder, got: "table"'),
        (changed(kind="guessed"), 'is invalid: kind: must be "measured" or a rehearsal\'s, got: "guessed"'),
        (changed(more=1), "is invalid: more: unknown key"),
        (changed(environment={"device": "a GPU"}), "is invalid: environment.versions: missing"),
        (
            with_case("diffusion-fast-7-more", timed(1.0)),
            'is invalid: cases: ladder has no case "diffusion-fast-7-more"; another version wrote the file',
        ),
        (
            with_case(FIRST, {"recipe": "fp32"}),
            f'is invalid: cases, "{FIRST}": weights: missing',
        ),
        (
            with_case(FIRST, timed(1.0, call_seconds=[1.0, -2.0])),
            f'is invalid: cases, "{FIRST}": call_seconds[1]: must be float > 0.0, got: -2.0',
        ),
        (
            with_case(FIRST, {"failed": 7}),
            f'is invalid: cases, "{FIRST}": failed: must be str, got: 7',
        ),
    ],
    ids=["command", "kind", "key", "machine", "case", "missing", "negative", "reason"],
)
def test_invalid_file_is_refused(tmp_path: Path, change: Callable[[dict[str, Any]], None], message: str) -> None:
    """The message has the file, the key, the rule and the value."""
    file = written(tmp_path / "ladder.json", LADDER)
    document = json.loads(file.read_text(encoding="utf-8"))
    change(document)
    file.write_text(json.dumps(document), encoding="utf-8")

    with pytest.raises(FiguresError) as error:
        read_figures({"ladder": file})

    assert str(error.value) == f"{file} {message}"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"{", "is invalid: it is not valid JSON: "),
        (b"[]", "is invalid: : must be object, got: []"),
    ],
    ids=["missing", "half", "other"],
)
def test_unreadable_file_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, message: str
) -> None:
    """The command prints one line without a traceback, and exits with 2."""
    file = tmp_path / "ladder.json"
    if content is not None:
        file.write_bytes(content)

    assert results_page.main(["--ladder", str(file), "--out", str(tmp_path / "page.md")]) == 2
    assert capsys.readouterr().err.startswith(f"results_page: {file} {message}")


def test_unwritable_page_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The message has the path and the system's reason."""
    (tmp_path / "file").touch()
    out = tmp_path / "file" / "page.md"

    assert results_page.main(["--out", str(out)]) == 2
    assert capsys.readouterr().err.startswith(f"results_page: {out} cannot be written: ")
