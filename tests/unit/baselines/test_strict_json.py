"""JSON is parsed strictly, and a problem is reported with its key."""

import pytest

from pytest_diffopt.baselines.strict_json import JSONProblem, described, parse, shown


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (b'{"a": 1, "a": 2}', "a: duplicate key"),
        (b'{"a": [1, NaN]}', "a[1]: must be a finite number, got: NaN"),
        (b'{"a": 1e999}', "a: must be a finite number, got: Infinity"),
        (b'{"a": "\\ud800"}', 'a: must be Unicode text, got: "\\ud800"'),
        (b"{", "it is not valid JSON: Expecting property name enclosed in double quotes (line 1, column 2)"),
        (b"\xfe", "it is not UTF-8 text (byte 0)"),
        (b"[" * 100_000, "it is nested too deeply"),
    ],
)
def test_text_that_is_not_strict_json_is_refused(raw: bytes, problem: str) -> None:
    """Also if Python's parser accepts it; the problem begins with the path of the value."""
    with pytest.raises(JSONProblem) as caught:
        parse(raw)

    assert str(caught.value) == problem


def test_valid_json_is_parsed() -> None:
    """The result consists of plain values."""
    assert parse(b'{"a": [1, 2.5, null, true, "x"]}') == {"a": [1, 2.5, None, True, "x"]}


@pytest.mark.parametrize(
    ("problem", "expected"),
    [
        ("Expected `int`, got `str` - at `$.a[1]`", 'a[1]: must be int, got: "x"'),
        ("Object missing required field `b` - at `$.a`", "a.b: missing"),
        ("Object contains unknown field `c`", "c: unknown key"),
    ],
)
def test_a_message_of_msgspec_is_rewritten_with_its_key_first(problem: str, expected: str) -> None:
    """It ends with the refused value."""
    assert described(problem, {"a": [0, "x"]}) == expected


def test_a_long_value_is_shortened() -> None:
    """So that the message stays readable."""
    assert shown("x" * 100) == '"' + "x" * 59 + "..."
