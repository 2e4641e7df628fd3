"""The private names of torch are where this package looks for them; a newer torch that moves one fails here by name."""

import inspect
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch._dynamo.config as dynamo_config
import torch._dynamo.eval_frame as dynamo_eval_frame
import torch._dynamo.exc as dynamo_exc
import torch._dynamo.utils as dynamo_utils
from torch import nn
from torch._dynamo import convert_frame, output_graph, symbolic_convert
from torch.testing import _comparison

from pytest_diffopt import _torch_private as private

MOVED = f"torch {torch.__version__} has no {{}} any more: mend pytest_diffopt/_torch_private.py"
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
    (convert_frame._compile, ["code", "globals", "locals", "builtins", "closure"]),
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
        (dynamo_eval_frame, "_debug_get_cache_entry_list"),
        (dynamo_eval_frame, "_stance"),
        (dynamo_utils, "_compilation_metrics"),
        (dynamo_utils, "counters"),
        (dynamo_utils, "get_compilation_metrics"),
        (dynamo_config, "disable"),
        (dynamo_exc, "Unsupported"),
        (dynamo_exc, "FailOnRecompileLimitHit"),
        (dynamo_exc, "InvalidBackend"),
        (dynamo_exc, "BackendCompilerFailed"),
        (convert_frame, "_compile"),
        (symbolic_convert.InstructionTranslatorBase, "log_graph_break"),
        (output_graph.OutputGraph, "call_user_compiler"),
        (_comparison, "default_tolerances"),
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
    """The watcher takes them so."""
    first = list(inspect.signature(convert_frame._compile).parameters)[:5]

    assert first == ["code", "globals", "locals", "builtins", "closure"], MOVED.format("_compile as it was")


def watched(function: Callable[..., object], *args: object, **options: Any) -> list[private.Compilation]:
    """Compile and call; return what was told."""
    found: list[private.Compilation] = []
    with private.compilations_watched(found.append):
        torch.compile(function, backend="eager", **options)(*args)
    return found


def test_each_compilation_is_told_with_its_code_and_account() -> None:
    """The account is torch's own of this very compilation."""
    (found,) = watched(plus_one, torch.ones(2))

    assert found.code is plus_one.__code__
    assert found.compile_id == "0/0"
    assert (found.metrics.co_name, found.metrics.graph_op_count) == ("plus_one", 1)
    assert (found.breaks, found.reads, found.hit_limit) == ([], [], False)


def test_a_break_is_told_with_its_text_and_the_users_stack() -> None:
    """What a person would mend is its innermost line."""
    (found,) = watched(read, torch.ones(2))[0].breaks

    assert found.message.startswith("Unsupported Tensor.item() call")
    assert [(line.path, line.function) for line in found.stack] == [(__file__, "read")]
    assert not found.gave_up


def test_a_read_that_is_captured_is_told() -> None:
    """With the line, which the graph's nodes keep."""
    (found,) = watched(read, torch.ones(2), fullgraph=True)[0].reads

    assert found.message == "the graph holds .item()"
    assert [(line.path, line.function) for line in found.stack] == [(__file__, "read")]


def test_the_source_of_a_guard_can_be_asked_for_while_it_is_compiled() -> None:
    """And only then; a source that is not there is an error."""
    values: list[object] = []

    def tell(found: private.Compilation) -> None:
        values.append(found.value_of("factor"))
        with pytest.raises(NameError):
            found.value_of("nothing")

    with private.compilations_watched(tell):
        torch.compile(times, backend="eager")(torch.ones(2), 3)

    assert values == [3]


@pytest.mark.parametrize("name", ["TORCH_COMPILE_DISABLE", "TORCHDYNAMO_DISABLE"])
def test_a_variable_that_switches_compilation_off_is_found(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Nothing does without it."""
    before = private.compile_switched_off()
    monkeypatch.setenv(name, "1")

    assert (before, private.compile_switched_off()) == ("", f"{name}=1 is set")


def test_a_setting_or_a_stance_that_switches_compilation_off_is_found() -> None:
    """Whoever set it."""
    with dynamo_config.patch(disable=True):
        setting = private.compile_switched_off()
    with torch.compiler.set_stance("force_eager"):
        stance = private.compile_switched_off()

    assert setting == "torch._dynamo.config.disable is True"
    assert stance == "torch.compiler.set_stance('force_eager') is in force"


def test_tolerances_are_those_of_torch_testing() -> None:
    """Relative first; whole numbers must be equal."""
    assert private.tolerances(torch.bfloat16) == (1.6e-2, 1e-5)
    assert private.tolerances(torch.int64) == (0.0, 0.0)


def test_something_else_answers_for_a_compiled_module_within_the_block() -> None:
    """It is given both calls; afterwards the compiled one answers again."""
    module = nn.Linear(1, 1)
    module.compile(backend="eager")
    compiled = module._compiled_call_impl
    with private.call_replaced(module, lambda compiled, eager: lambda: (compiled, eager)):
        answer = module()

    assert answer == (compiled, module._call_impl)
    assert module._compiled_call_impl is compiled


def test_compiled_versions_of_a_function_are_counted() -> None:
    """None before it ran, one for each rank, none after a reset."""
    compiled = torch.compile(plus_one, backend="eager")
    counts = [private.compiled_code_count(plus_one.__code__)]
    for shape in ((2,), (2, 2)):
        compiled(torch.ones(shape))
        counts.append(private.compiled_code_count(plus_one.__code__))
    torch._dynamo.reset()
    counts.append(private.compiled_code_count(plus_one.__code__))

    assert counts == [0, 1, 2, 0]


def test_what_was_compiled_is_found_in_what_compiling_gave() -> None:
    """The function itself; nothing of what torch did not make."""
    assert private.original_callable(torch.compile(plus_one, backend="eager")) is plus_one
    assert private.original_callable(plus_one) is None


def test_a_module_that_was_compiled_in_place_is_told_apart() -> None:
    """By `module.compile()`, before it ran."""
    module = nn.Linear(1, 1)
    before = private.is_compiled_module(module)
    module.compile(backend="eager")

    assert (before, private.is_compiled_module(module)) == (False, True)


def test_handlers_of_strangers_are_off_the_trace_within_the_block() -> None:
    """Torch's own stay, and the strangers' are back afterwards, also after a failure."""
    trace = logging.getLogger("torch.__trace")
    own = type("TraceHandler", (logging.NullHandler,), {"__module__": "torch._logging._internal"})()
    strangers = list(trace.handlers)
    stranger = logging.NullHandler()
    trace.addHandler(stranger)
    trace.addHandler(own)
    try:
        with private.trace_not_captured():
            during = list(trace.handlers)
        with pytest.raises(RuntimeError, match="planted"), private.trace_not_captured():
            fail("planted")
        after = set(trace.handlers)
    finally:
        trace.removeHandler(stranger)
        trace.removeHandler(own)

    assert own in during
    assert stranger not in during
    assert after == {*strangers, stranger, own}


def fail(message: str) -> None:
    """Fail in the middle of a block."""
    raise RuntimeError(message)


def test_inductors_flags_are_read_set_and_put_back() -> None:
    """By the names that recipes use."""
    before = private.inductor_flags()["conv_1x1_as_mm"]
    with private.inductor_flags_set({"conv_1x1_as_mm": not before}):
        during = private.inductor_flags()["conv_1x1_as_mm"]

    assert (during, private.inductor_flags()["conv_1x1_as_mm"]) == (not before, before)


def test_a_plain_tensor_has_nothing_inside() -> None:
    """Only wrappers are made of other tensors."""
    assert private.inner_dtypes(torch.ones(2)) == set()


def test_code_can_see_itself_as_being_compiled() -> None:
    """For the length of a block."""
    with private.as_if_compiling():
        during = torch.compiler.is_compiling()

    assert (during, torch.compiler.is_compiling()) == (True, False)


def test_a_wrapped_module_is_found_again() -> None:
    """What `torch.compile(module)` wraps is in the wrapper."""
    module = torch.nn.Linear(2, 2)

    assert private.original_module(torch.compile(module, backend="eager")) is module
    assert private.original_module(module) is None
