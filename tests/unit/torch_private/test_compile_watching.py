"""The report of each compilation, and the private names of torch that it uses."""

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
#: The fields of Dynamo's metrics that the compile log reads.
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
#: The arguments of torch's functions that are read by name or by position.
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
    """Reset Dynamo, whose compiled code belongs to functions, before and after each test."""
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
    """The message has the missing name and the module that uses it."""
    assert hasattr(module, name), MOVED.format(f"{getattr(module, '__name__', '')}.{name}")


def test_dynamos_metrics_have_every_field_that_is_read() -> None:
    """A renamed field fails here instead of in a user's test."""
    fields = set(inspect.signature(dynamo_utils.CompilationMetrics).parameters)

    assert METRICS - fields == set(), MOVED.format(", ".join(sorted(METRICS - fields)))


@pytest.mark.parametrize(("function", "names"), ARGUMENTS)
def test_wrapped_functions_take_the_arguments_that_are_read(function: Callable[..., object], names: list[str]) -> None:
    """The arguments are in this order; a renamed one fails here instead of in a user's test."""
    parameters = list(inspect.signature(function).parameters)

    assert [name for name in parameters if name in names] == names, MOVED.format(
        f"argument of {function.__qualname__} among {', '.join(names)}"
    )


def test_the_first_five_arguments_of_a_compilation_are_positional() -> None:
    """The wrapper takes them by position; some releases name two of them `f_globals` and `f_locals`."""
    names = list(inspect.signature(convert_frame._compile).parameters)[:5]
    first = [name.removeprefix("f_") for name in names]

    assert first == ["code", "globals", "locals", "builtins", "closure"], MOVED.format("_compile as it was")


def watched(function: Callable[..., object], *args: object, **options: Any) -> list[Compilation]:
    """Compile and call a function, and return the reported compilations."""
    found: list[Compilation] = []
    with compilations_watched(found.append):
        torch.compile(function, backend="eager", **options)(*args)
    return found


def test_each_compilation_is_reported_with_its_code_and_metrics() -> None:
    """The metrics are Dynamo's metrics of this compilation."""
    (found,) = watched(plus_one, torch.ones(2))

    assert found.code is plus_one.__code__
    assert found.compile_id == "0/0"
    assert (found.metrics.co_name, found.metrics.graph_op_count) == ("plus_one", 1)
    assert (found.breaks, found.reads, found.hit_limit) == ([], [], False)


def test_a_break_is_reported_with_its_message_and_the_users_stack() -> None:
    """The innermost line is the one to fix."""
    (found,) = watched(read, torch.ones(2))[0].breaks

    assert found.message.startswith("Unsupported Tensor.item() call")
    assert [(line.path, line.function) for line in found.stack] == [(__file__, "read")]
    assert not found.gave_up


def test_a_captured_read_is_reported() -> None:
    """Its line comes from the graph's nodes."""
    (found,) = watched(read, torch.ones(2), fullgraph=True)[0].reads

    assert found.message == "the graph holds .item()"
    assert [(line.path, line.function) for line in found.stack] == [(__file__, "read")]


def test_the_source_of_a_guard_can_be_evaluated_during_its_compilation() -> None:
    """An unknown source raises."""
    values: list[object] = []

    def report(found: Compilation) -> None:
        values.append(found.value_of("factor"))
        with pytest.raises(NameError):
            found.value_of("nothing")

    with compilations_watched(report):
        torch.compile(times, backend="eager")(torch.ones(2), 3)

    assert values == [3]


def add_one_beside(ignored: object, x: torch.Tensor) -> torch.Tensor:
    """Add, beside an argument that is not used."""
    del ignored
    return x + 1


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors is in prototype stage")
def test_the_shapes_of_plain_tensors_among_the_arguments() -> None:
    """A nested tensor has no shape: it is left out, and what worked without the watch works with it."""
    nested = torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])
    (found,) = watched(add_one_beside, nested, torch.ones(2))

    assert found.shapes == {"x": (2,)}
