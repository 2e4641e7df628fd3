"""What is compiled is found, and what keeps anything from being compiled."""

from collections.abc import Iterator

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
    """Compiled code belongs to functions: let no test find another one's."""
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
    """The message says which one is gone, and where it is used."""
    assert hasattr(module, name), MOVED.format(f"{getattr(module, '__name__', '')}.{name}")


@pytest.mark.parametrize("name", ["TORCH_COMPILE_DISABLE", "TORCHDYNAMO_DISABLE"])
def test_a_variable_that_switches_compilation_off_is_found(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Nothing does without it."""
    before = compiled_code.compile_switched_off()
    monkeypatch.setenv(name, "1")

    assert (before, compiled_code.compile_switched_off()) == ("", f"{name}=1 is set")


def test_a_setting_or_a_stance_that_switches_compilation_off_is_found() -> None:
    """Whoever set it."""
    with dynamo_config.patch(disable=True):
        setting = compiled_code.compile_switched_off()
    with torch.compiler.set_stance("force_eager"):
        stance = compiled_code.compile_switched_off()

    assert setting == "torch._dynamo.config.disable is True"
    assert stance == "torch.compiler.set_stance('force_eager') is in force"


def test_something_else_answers_for_a_compiled_module_within_the_block() -> None:
    """It is given both calls; afterwards the compiled one answers again."""
    module = nn.Linear(1, 1)
    module.compile(backend="eager")
    compiled = module._compiled_call_impl
    with compiled_code.call_replaced(module, lambda compiled, eager: lambda: (compiled, eager)):
        answer = module()

    assert answer == (compiled, module._call_impl)
    assert module._compiled_call_impl is compiled


def test_compiled_versions_of_a_function_are_counted() -> None:
    """None before it ran, one for each rank, none after a reset."""
    compiled = torch.compile(plus_one, backend="eager")
    counts = [compiled_code.compiled_code_count(plus_one.__code__)]
    for shape in ((2,), (2, 2)):
        compiled(torch.ones(shape))
        counts.append(compiled_code.compiled_code_count(plus_one.__code__))
    torch._dynamo.reset()
    counts.append(compiled_code.compiled_code_count(plus_one.__code__))

    assert counts == [0, 1, 2, 0]


def test_what_was_compiled_is_found_in_what_compiling_gave() -> None:
    """The function itself; nothing of what torch did not make."""
    assert compiled_code.original_callable(torch.compile(plus_one, backend="eager")) is plus_one
    assert compiled_code.original_callable(plus_one) is None


def test_a_module_that_was_compiled_in_place_is_reported_apart() -> None:
    """By `module.compile()`, before it ran."""
    module = nn.Linear(1, 1)
    before = compiled_code.is_compiled_module(module)
    module.compile(backend="eager")

    assert (before, compiled_code.is_compiled_module(module)) == (False, True)


def test_code_can_see_itself_as_being_compiled() -> None:
    """For the length of a block."""
    with compiled_code.as_if_compiling():
        during = torch.compiler.is_compiling()

    assert (during, torch.compiler.is_compiling()) == (True, False)


def test_a_wrapped_module_is_found_again() -> None:
    """What `torch.compile(module)` wraps is in the wrapper."""
    module = torch.nn.Linear(2, 2)

    assert compiled_code.original_module(torch.compile(module, backend="eager")) is module
    assert compiled_code.original_module(module) is None
