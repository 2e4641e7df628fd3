"""The project's texts use the field's terms: no expression of the vocabulary's table occurs."""

from pathlib import Path

import pytest

from tools.vocabulary import TERMS, find, main

ROOT = Path(__file__).parents[3]
READ = (
    "pytest_diffopt",
    "docs",
    "suites",
    "benchmarks",
    "tools",
    "tests",
    ".github",
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Makefile",
    "action.yml",
    "mkdocs.yml",
    "pyproject.toml",
)


@pytest.mark.parametrize("name", READ)
def test_no_expression_of_the_table_occurs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages, names, docstrings, comments, docs and workflows are checked line by line."""
    monkeypatch.chdir(ROOT)

    assert [str(one) for one in find([Path(name)])] == []


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("a mended bug", ["mended"]),
        ("test_a_card_is_read", ["card"]),
        ("CARD = 1", ["CARD"]),
        ("the test is red", ["is red"]),
        ("a red circle", []),
        ("(up to 0 allowed)", ["(up to 0 allowed)"]),
        ("up to 5 % is allowed", []),
        ("standard output", []),
        ("the null GPU stands in for it", []),
        ("no more than two", []),
        ("discard", []),
        ("a heat map and a heat_map", []),
    ],
)
def test_whole_expressions_are_found(tmp_path: Path, line: str, found: list[str]) -> None:
    """Also as a part of an identifier, and not as a part of another word."""
    file = tmp_path / "text.md"
    file.write_text(f"first\n{line}\n", encoding="utf-8")

    assert [one.found for one in find([tmp_path])] == found
    assert all(one.place == f"{file.as_posix()}:2" for one in find([file]))


def test_each_finding_names_what_to_write(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command prints the place, the expression and the replacement, and exits with 1."""
    file = tmp_path / "text.md"
    file.write_text("one rung\n", encoding="utf-8")

    assert main([str(file)]) == 1
    assert capsys.readouterr().out == f"{file.as_posix()}:1: 'rung' -> level: one rung\n"
    file.write_text("one level\n", encoding="utf-8")
    assert main([str(file)]) == 0


def test_every_term_has_a_replacement() -> None:
    """A finding without one would leave its reader alone."""
    assert all(instead for _term, instead in TERMS)
