"""What is told of each compilation; a newer torch that moves a name that is read fails here by that name."""

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch._dynamo.exc as dynamo_exc
import torch._dynamo.utils as dynamo_utils
from torch._dynamo import convert_frame, output_graph, symbolic_convert

from pytest_diffopt._torch_private.compile_watching import Compilation, compilations_watched

MOVED = f"torch {torch.__version__} has no {{}} any more: fix pytest_diffopt/_torch_private/compile_watching.py"
#: What the compile log reads of each account that Dynamo keeps of a frame.
METRICS = {
    "aotautograd_local_cache_hit_count",
    "aotautograd_local_cache_miss_count",
    "co_filename",
    "cudagraph_skip_reason",
    "duration_us",
    "graph_op_count",
    "guard_count",
    "has_guarded_code",
    "inductor_fx_local_cache_hit_count",
    "inductor_fx_local_cache_miss_count",
    "inductor_fx_remote_cache_hit_count",
    "inductor_fx_remote_cache_miss_count",
    "recompile_reason",
}
#: The arguments of torch's functions that are read by name or by place.
ARGUMENTS = [
    (convert_frame._compile, ["compile_id", "skip"]),
    (symbolic_convert.InstructionTranslatorBase.log_graph_break, ["self", "code_options", "reason", "exc"]),
    (output_graph.OutputGraph.call_user_compiler, ["self", "gm", "example_inputs"]),
    (dynamo_exc.Unsupported.__init__, ["msg", "gb_type", "real_stack"]),
]


def plus_one(x: torch.Tensor) -> torch.Tensor:
    """Compile to one graph."""
    return x + 1


def read(x: torch.Tensor) -> torch.Tensor:
    """Break the graph."""
    return x + x.sum().item()


def times(x: torch.Tensor, factor: int) -> torch.Tensor:
    """Compile to one graph."""
    return x * factor


@pytest.fixture(autouse=True)
def _forget_compiled_code() -> Iterator[None]:
    """Compiled code belongs to functions: let no test find another one's."""
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (dynamo_utils, "_compilation_metrics"),
        (dynamo_utils, "counters"),
        (convert_frame, "_compile"),
        (symbolic_convert.InstructionTranslatorBase, "log_graph_break"),
        (output_graph.OutputGraph, "call_user_compiler"),
    ],
)
def test_every_private_name_is_there(module: object, name: str) -> None:
    """The message says which one is gone, and where it is used."""
    assert hasattr(module, name), MOVED.format(f"{getattr(module, '__name__', '')}.{name}")


def test_dynamos_account_of_a_frame_has_every_field_that_is_read() -> None:
    """A field that was renamed would otherwise be met in the middle of somebody's test."""
    fields = set(inspect.signature(dynamo_utils.CompilationMetrics).parameters)

    assert METRICS - fields == set(), MOVED.format(", ".join(sorted(METRICS - fields)))


@pytest.mark.parametrize(("function", "names"), ARGUMENTS)
def test_functions_that_are_watched_take_the_arguments_that_are_read(
    function: Callable[..., object], names: list[str]
) -> None:
    """In this order; one that was renamed would otherwise be met in the middle of somebody's test."""
    parameters = list(inspect.signature(function).parameters)

    assert [name for name in parameters if name in names] == names, MOVED.format(
        f"argument of {function.__qualname__} among {', '.join(names)}"
    )


def test_the_first_five_arguments_of_a_compilation_are_passed_by_place() -> None:
    """The watcher takes them so; some releases call two of them `f_globals` and `f_locals`."""
    names = list(inspect.signature(convert_frame._compile).parameters)[:5]
    first = [name.removeprefix("f_") for name in names]

    assert first == ["code", "globals", "locals", "builtins", "closure"], MOVED.format("_compile as it was")


def watched(function: Callable[..., object], *args: object, **options: Any) -> list[Compilation]:
    """Compile and call; return what was told."""
    found: list[Compilation] = []
    with compilations_watched(found.append):
        torch.compile(function, backend="eager", **options)(*args)
    return found


def test_each_compilation_is_reported_with_its_code_and_account() -> None:
    """The account is torch's own of this very compilation."""
    (found,) = watched(plus_one, torch.ones(2))

    assert found.code is plus_one.__code__
    assert found.compile_id == "0/0"
    assert (found.metrics.co_name, found.metrics.graph_op_count) == ("plus_one", 1)
    assert (found.breaks, found.reads, found.hit_limit) == ([], [], False)


def test_a_break_is_reported_with_its_text_and_the_users_stack() -> None:
    """What a person would fix is its innermost line."""
    (found,) = watched(read, torch.ones(2))[0].breaks

    assert found.message.startswith("Unsupported Tensor.item() call")
    assert [(line.path, line.function) for line in found.stack] == [(__file__, "read")]
    assert not found.gave_up


def test_a_read_that_is_captured_is_reported() -> None:
    """With the line, which the graph's nodes keep."""
    (found,) = watched(read, torch.ones(2), fullgraph=True)[0].reads

    assert found.message == "the graph holds .item()"
    assert [(line.path, line.function) for line in found.stack] == [(__file__, "read")]


def test_the_source_of_a_guard_can_be_asked_for_while_it_is_compiled() -> None:
    """And only then; a source that is not there is an error."""
    values: list[object] = []

    def progress(found: Compilation) -> None:
        values.append(found.value_of("factor"))
        with pytest.raises(NameError):
            found.value_of("nothing")

    with compilations_watched(progress):
        torch.compile(times, backend="eager")(torch.ones(2), 3)

    assert values == [3]
