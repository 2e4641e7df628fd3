"""Rules for the arguments of public calls: a violation is one sentence with the rule, the value and what to do.

A rule is checked where a value enters the package, so that a wrong type is not found later as an AttributeError inside
of it.
"""

import argparse
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

from pytest_diffopt.errors import DiffoptError, ProbeError
from pytest_diffopt.printable import printable_line

_LONGEST_VALUE = 80
_DIGITS = re.compile(r"[1-9][0-9]{0,8}")


class ArgumentError(ProbeError, ValueError):
    """An argument of a public call has the wrong type or value."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """What an argument must be.

    Attributes:
        text: the rule as it follows "must be": `a positive number`.
        holds: returns whether a value keeps the rule.
        hint: what to do instead; empty where the rule is enough.
    """

    text: str
    holds: Callable[[Any], bool]
    hint: str = ""

    def or_none(self) -> "Rule":
        """Return this rule for an argument that can also be None."""
        return Rule(text=f"{self.text} or None", holds=lambda value: value is None or self.holds(value), hint=self.hint)


def require(rule: Rule, value: Any, argument: str, *, error: type[DiffoptError] = ArgumentError) -> None:
    """Check one argument.

    Args:
        rule: what it must be.
        value: its value.
        argument: the call and the argument, as a user writes them: `assert_faster(by=...)`.
        error: the type of the error.

    Raises:
        DiffoptError: the rule is violated; the message has the rule, the value and a hint.
    """
    if not rule.holds(value):
        hint = f": {rule.hint}" if rule.hint else ""
        msg = f"{argument} must be {rule.text}, got: {shown(value)}{hint}"
        raise error(msg)


def shown(value: Any) -> str:
    """Return a value in one line: a text shortened, else its repr, or its type where the repr is long."""
    if isinstance(value, str) and len(value) > _LONGEST_VALUE:
        return f"{value[:_LONGEST_VALUE]!r}..."
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - a user's type can raise anything, and the message about it must not
        text = ""
    is_short = 0 < len(text) <= _LONGEST_VALUE and text == printable_line(text)
    return text if is_short else f"a value of type {type(value).__name__}"


def sequence_of(kind: type, example: str) -> Rule:
    """Return the rule for a list or tuple of instances of a class.

    Args:
        kind: the class.
        example: how one is written.
    """
    return Rule(
        text=f"a list of {kind.__name__}",
        holds=lambda value: _is_list(value) and all(isinstance(one, kind) for one in value),
        hint=f"write [{example}]",
    )


def one_of(names: Iterable[str]) -> Rule:
    """Return the rule for one of some names."""
    known = tuple(names)
    return Rule(text=f"one of {', '.join(known)}", holds=lambda value: isinstance(value, str) and value in known)


def instance_of(*kinds: type, hint: str = "") -> Rule:
    """Return the rule for an instance of one of some classes."""
    names = " or ".join(kind.__name__ for kind in kinds)
    return Rule(text=f"of type {names}", holds=lambda value: isinstance(value, kinds), hint=hint)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray))


def _is_number(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, Real) and not math.isnan(value)


def _is_integer(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, Integral)


def _has_names(value: Any) -> bool:
    return isinstance(value, Mapping) and all(isinstance(name, str) for name in value)


def _are_figures(value: Any) -> bool:
    return _has_names(value) and bool(value) and all(_is_number(one) and math.isfinite(one) for one in value.values())


def whole_number(text: str) -> int:
    """Return the value of a command-line option that counts something, for argparse.

    Raises:
        ArgumentTypeError: the text is no whole number of at least 1, or has more than nine digits.
    """
    if not _DIGITS.fullmatch(text):
        msg = f"must be a whole number of at least 1, got: {printable_line(text)[:_LONGEST_VALUE]}"
        raise argparse.ArgumentTypeError(msg)
    return int(text)


#: Of a target: a class would be instantiated by the call, and a name is not built by it.
TARGET = Rule(
    text="a pipeline, module or function",
    holds=lambda value: callable(value) and not isinstance(value, type),
    hint='pass the object itself, such as the fixture optimized_pipeline of @pytest.mark.diffopt(pipeline="sdxl")',
)
FUNCTION = Rule(text="a function", holds=callable)
TEXT = Rule(text="a text", holds=lambda value: isinstance(value, str))
SOME_TEXT = Rule(text="a text that is not empty", holds=lambda value: isinstance(value, str) and bool(value.strip()))
TEXTS = Rule(text="a list of texts", holds=lambda value: _is_list(value) and all(isinstance(one, str) for one in value))
YES_OR_NO = Rule(text="True or False", holds=lambda value: isinstance(value, bool))
ANY_NUMBER = Rule(text="a number", holds=_is_number)
NUMBER = Rule(text="a finite number", holds=lambda value: _is_number(value) and math.isfinite(value))
POSITIVE_NUMBER = Rule(
    text="a positive number", holds=lambda value: _is_number(value) and math.isfinite(value) and value > 0
)
NOT_NEGATIVE = Rule(
    text="a number of at least 0", holds=lambda value: _is_number(value) and math.isfinite(value) and value >= 0
)
#: Of a limit, which can be infinite: no limit.
FACTOR = Rule(text="a number of at least 1", holds=lambda value: NUMBER.holds(value) and value >= 1)
LIMIT = Rule(text="a number of at least 0", holds=lambda value: _is_number(value) and value >= 0)
INTEGER = Rule(text="a whole number", holds=_is_integer)
POSITIVE_INTEGER = Rule(text="a whole number of at least 1", holds=lambda value: _is_integer(value) and value >= 1)
KEYWORDS = Rule(
    text="a mapping of keywords to values", holds=_has_names, hint='write {"prompt": ..., "num_inference_steps": 4}'
)
CALLS = Rule(
    text="a list of calls, each a mapping of keywords to values",
    holds=lambda value: _is_list(value) and all(map(_has_names, value)),
    hint='write [{"prompt": "a"}, {"prompt": "b"}], or use the fixture pipeline_variations',
)
FIGURES = Rule(
    text="a mapping of names to finite numbers, with at least one",
    holds=_are_figures,
    hint='write {"copied_bytes": 4096}',
)
