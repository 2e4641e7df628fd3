"""Tests of parsing torch's messages of failed guards, in the formats of torch 2.11 to 2.13."""

import pytest

from pytest_diffopt.probes.failed_guards import failed_guard
from pytest_diffopt.records import GuardKind


def forward(self: object, hidden_states: object, timestep: object = None) -> object:
    """Serve as the compiled function."""
    return self, hidden_states, timestep


CODE = forward.__code__
VALUES = {"timestep": 961, "opt": 1.5, "flag": True, "self.processor": object(), "d['scale']": 0.7, "len(d)": 2}


def value_of(expression: str) -> object:
    """Return the value of an expression in the compiled frame."""
    return VALUES[expression]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0/0: timestep == 981      # x * timestep", (GuardKind.VALUE, "timestep", "int 981", "int 961")),
        ("12/3: opt is None         # if opt is not None:", (GuardKind.VALUE, "opt", "None", "float 1.5")),
        ("0/0: flag == False  # if flag:", (GuardKind.VALUE, "flag", "False", "True")),
        ("0/0: d['scale'] == 0.5  # d", (GuardKind.VALUE, "d['scale']", "float 0.5", "float 0.7")),
        ("0/0: len(d) == 1  # d", (GuardKind.VALUE, "len(d)", "int 1", "int 2")),
        ("0/0: self.gone == 'a'  # self", (GuardKind.VALUE, "self.gone", "str 'a'", "")),
        (
            "0/0: tensor 'x' size mismatch at index 2. expected 16, actual 24",
            (GuardKind.SHAPE, "x", "size 16 in dimension 2", "size 24 in dimension 2"),
        ),
        (
            "0/0: tensor 'x' rank mismatch. expected 1, actual 2",
            (GuardKind.SHAPE, "x", "rank 1", "rank 2"),
        ),
        (
            "0/0: tensor 'x' dtype mismatch. expected Float, actual Long",
            (GuardKind.DTYPE, "x", "dtype Float", "dtype Long"),
        ),
        (
            "0/0: tensor 'x' requires_grad mismatch. expected requires_grad=0",
            (GuardKind.OTHER, "x", "requires_grad=0", ""),
        ),
        (
            "0/0: ___check_type_id(self.processor, 94079532263408), type=<class 'own.Processor'>  # s",
            (GuardKind.TYPE, "self.processor", "Processor", "object"),
        ),
        (
            "0/0: ___check_obj_id(self.processor, 139795024903376), type=<class 'own.Processor'>  # s",
            (GuardKind.OBJECT, "self.processor", "", "object"),
        ),
        (
            "0/0: expected type of 'self._modules['lin']._parameters['bias']' to be a tensor type, ' but found "
            "<class 'NoneType'>",
            (GuardKind.TYPE, "self.lin.bias", "a tensor", "NoneType"),
        ),
        ("0/0: self.__dict__['_modules']['time'].scale == 1.0", (GuardKind.VALUE, "self.time.scale", "float 1.0", "")),
        ("0/0: GLOBAL_STATE changed: grad_mode ", (GuardKind.GLOBAL_STATE, "grad_mode", "", "")),
        ("0/0: x.size()[0] != 6  # x", (GuardKind.SHAPE, "x", "", "")),
        ("0/0: 16 != (hidden.size()[1] // 2)  # x", (GuardKind.SHAPE, "hidden", "", "")),
        ("0/1: 'NoneType' object has no attribute 'size'", (GuardKind.SHAPE, "", "", "")),
        ("0/0: Cache line invalidated", (GuardKind.OTHER, "", "", "")),
    ],
)
def test_every_message_format_is_parsed(text: str, expected: tuple[GuardKind, str, str, str]) -> None:
    """Into the kind, the source, the old and the new value."""
    found = failed_guard(text, CODE, value_of)

    assert found is not None
    assert (found.kind, found.source, found.old, found.new) == expected


def test_arguments_of_a_wrapper_have_the_functions_parameter_names() -> None:
    """`args[0]` of a decorator is the first parameter after `self`."""
    first = failed_guard("0/0: tensor 'args[0]' rank mismatch. expected 1, actual 2", CODE, value_of)
    keyword = failed_guard("0/0: kwargs['timestep'] == 981", CODE, value_of)
    beyond = failed_guard("0/0: tensor 'args[7]' rank mismatch. expected 1, actual 2", CODE, value_of)

    assert (first and first.source, keyword and keyword.source, beyond and beyond.source) == (
        "hidden_states",
        "timestep",
        "args[7]",
    )


def test_object_ids_are_removed_from_the_text() -> None:
    """They differ between runs, and an allowance must match every run."""
    found = failed_guard("0/0: ___check_obj_id(self.processor, 139795024903376), type=<class 'P'>", CODE, value_of)

    assert found is not None
    assert found.text == "___check_obj_id(self.processor), type=<class 'P'>"


def test_the_location_is_from_the_user_stack() -> None:
    """It is the innermost line of user code."""
    text = (
        "0/0: timestep == 981  # x\nUser stack trace:\n"
        f'  File "{__file__}", line 12, in forward\n    return self\n'
        f'  File "{pytest.__file__.replace("pytest/__init__.py", "torch/nn/modules/module.py")}", line 3, in _call\n'
    )
    found = failed_guard(text, CODE, value_of)

    assert found is not None
    assert (found.where.line, found.where.function) == (12, "forward")


def test_a_first_compilation_has_no_failed_guard() -> None:
    """Torch reports no text."""
    assert failed_guard("", CODE, value_of) is None
