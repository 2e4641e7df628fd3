"""Compiled functions and modules are recognized, and so is a setting that disables compilation."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch._dynamo.config as dynamo_config
import torch._dynamo.eval_frame as dynamo_eval_frame
from torch import nn

from pytest_diffopt._torch_private import compiled_code

MOVED = f"torch {torch.__version__} has no {{}} any more: fix pytest_diffopt/_torch_private/compiled_code.py"


def plus_one(x: torch.Tensor) -> torch.Tensor:
    """Compile to one graph."""
    return x + 1


@pytest.fixture(autouse=True)
def _forget_compiled_code() -> Iterator[None]:
    """Reset Dynamo, whose compiled code belongs to functions, before and after each test."""
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (dynamo_eval_frame, "_debug_get_cache_entry_list"),
        (dynamo_eval_frame, "_stance"),
        (dynamo_config, "disable"),
    ],
)
def test_every_private_name_is_there(module: object, name: str) -> None:
    """The message has the missing name and the module that uses it."""
    assert hasattr(module, name), MOVED.format(f"{getattr(module, '__name__', '')}.{name}")


@pytest.mark.parametrize("name", ["TORCH_COMPILE_DISABLE", "TORCHDYNAMO_DISABLE"])
def test_a_variable_that_disables_compilation_is_found(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Without the variable, compilation is enabled."""
    before = compiled_code.compile_switched_off()
    monkeypatch.setenv(name, "1")

    assert (before, compiled_code.compile_switched_off()) == ("", f"{name}=1 is set")


def test_a_setting_or_a_stance_that_disables_compilation_is_found() -> None:
    """The result names the setting or the stance."""
    with dynamo_config.patch(disable=True):
        setting = compiled_code.compile_switched_off()
    with torch.compiler.set_stance("force_eager"):
        stance = compiled_code.compile_switched_off()

    assert setting == "torch._dynamo.config.disable is True"
    assert stance == "torch.compiler.set_stance('force_eager') is in force"


def test_the_call_of_a_compiled_module_is_replaced_within_the_block() -> None:
    """The replacement gets the compiled and the eager call; the compiled call is restored afterwards."""
    module = nn.Linear(1, 1)
    module.compile(backend="eager")
    compiled = module._compiled_call_impl
    with compiled_code.call_replaced(module, lambda compiled, eager: lambda: (compiled, eager)):
        answer = module()

    assert answer == (compiled, module._call_impl)
    assert module._compiled_call_impl is compiled


def test_compiled_versions_of_a_function_are_counted() -> None:
    """There is none before the first call, one for each rank, and none after a reset."""
    compiled = torch.compile(plus_one, backend="eager")
    counts = [compiled_code.compiled_code_count(plus_one.__code__)]
    for shape in ((2,), (2, 2)):
        compiled(torch.ones(shape))
        counts.append(compiled_code.compiled_code_count(plus_one.__code__))
    torch._dynamo.reset()
    counts.append(compiled_code.compiled_code_count(plus_one.__code__))

    assert counts == [0, 1, 2, 0]


def test_the_original_of_a_compiled_function_is_found() -> None:
    """A function that is not compiled has none."""
    assert compiled_code.original_callable(torch.compile(plus_one, backend="eager")) is plus_one
    assert compiled_code.original_callable(plus_one) is None
    disable: Any = torch.compiler.disable
    assert compiled_code.original_callable(disable(plus_one)) is None


def test_a_module_compiled_in_place_is_recognized() -> None:
    """It is recognized after `module.compile()`, before it runs."""
    module = nn.Linear(1, 1)
    before = compiled_code.is_compiled_module(module)
    module.compile(backend="eager")

    assert (before, compiled_code.is_compiled_module(module)) == (False, True)


def test_is_compiling_is_true_within_the_block() -> None:
    """`torch.compiler.is_compiling()` is False again afterwards."""
    with compiled_code.as_if_compiling():
        during = torch.compiler.is_compiling()

    assert (during, torch.compiler.is_compiling()) == (True, False)


def test_the_original_of_a_compiled_module_is_found() -> None:
    """A module that is not compiled has none."""
    module = torch.nn.Linear(2, 2)

    assert compiled_code.original_module(torch.compile(module, backend="eager")) is module
    assert compiled_code.original_module(module) is None


def test_calls_of_a_module_are_noted_whether_it_is_compiled_or_not() -> None:
    """A module that is not compiled does not count as compiled meanwhile; afterwards each is as before."""
    plain, compiled = nn.Linear(1, 1), nn.Linear(1, 1)
    compiled.compile(backend="eager")
    before, seen = compiled._compiled_call_impl, list[str]()
    with (
        compiled_code.calls_noted(plain, lambda: seen.append("plain")),
        compiled_code.calls_noted(compiled, lambda: seen.append("compiled")),
    ):
        plain(torch.ones(1))
        compiled(torch.ones(1))

        assert not compiled_code.is_compiled_module(plain)
        assert compiled_code.is_compiled_module(compiled)

    assert seen == ["plain", "compiled"]
    assert "_compiled_call_impl" not in vars(plain)
    assert compiled._compiled_call_impl is before


def test_a_module_that_is_compiled_while_its_calls_are_noted_stays_compiled() -> None:
    """A pipeline may compile its denoiser in its first call."""
    module = nn.Linear(1, 1)
    with compiled_code.calls_noted(module, lambda: None):
        module.compile(backend="eager")

    assert compiled_code.is_compiled_module(module)


def test_wrapping_a_call_does_not_compile_a_module_nor_undo_that_it_was_compiled() -> None:
    """A wrapped module counts as compiled as soon as it is, and stays so after several wrappers."""
    module = nn.Linear(1, 1)
    with compiled_code.call_wrapped(module, lambda call: call), compiled_code.calls_noted(module, lambda: None):
        before = compiled_code.is_compiled_module(module)
        module.compile(backend="eager")

    assert (before, compiled_code.is_compiled_module(module)) == (False, True)
