"""JSON is read to the letter, and what is wrong with it is said by its key."""

import pytest

from pytest_diffopt.baselines.strict_json import JSONProblem, described, parse, shown


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (b'{"a": 1, "a": 2}', "a: the key stands twice"),
        (b'{"a": [1, NaN]}', "a[1]: must be a finite number, got: NaN"),
        (b'{"a": 1e999}', "a: must be a finite number, got: Infinity"),
        (b'{"a": "\\ud800"}', 'a: must be Unicode text, got: "\\ud800"'),
        (b"{", "it is not whole JSON: Expecting property name enclosed in double quotes (line 1, column 2)"),
        (b"\xfe", "it is not UTF-8 text (byte 0)"),
        (b"[" * 100_000, "it is nested too deeply"),
    ],
)
def test_what_python_would_let_pass_is_refused(raw: bytes, problem: str) -> None:
    """With the path that leads to it."""
    with pytest.raises(JSONProblem) as caught:
        parse(raw)

    assert str(caught.value) == problem


def test_whole_json_is_read() -> None:
    """Into plain values."""
    assert parse(b'{"a": [1, 2.5, null, true, "x"]}') == {"a": [1, 2.5, None, True, "x"]}


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        ("Expected `int`, got `str` - at `$.a[1]`", 'a[1]: must be int, got: "x"'),
        ("Object missing required field `b` - at `$.a`", "a.b: missing"),
        ("Object contains unknown field `c`", "c: unknown key"),
    ],
)
def test_a_finding_of_msgspec_is_reported_with_its_key_first(problem: str, words: str) -> None:
    """And with the value that broke the rule."""
    assert described(problem, {"a": [0, "x"]}) == words


def test_a_long_value_is_cut() -> None:
    """A message stays readable."""
    assert shown("x" * 100) == '"' + "x" * 59 + "..."
