"""The private names of torch are where this package looks for them; a newer torch that moves one fails here by name."""

import inspect
import logging
from collections.abc import Iterator

import pytest
import torch
import torch._dynamo.eval_frame as dynamo_eval_frame
import torch._dynamo.utils as dynamo_utils
from torch import nn

from pytest_diffopt import _torch_private as private

MOVED = f"torch {torch.__version__} has no {{}} any more: mend pytest_diffopt/_torch_private.py"
#: What the compile log reads of each account that Dynamo keeps of a frame.
METRICS = {
    "co_filename",
    "co_firstlineno",
    "co_name",
    "compile_id",
    "duration_us",
    "fail_reason",
    "fail_user_frame_filename",
    "fail_user_frame_lineno",
    "graph_op_count",
    "guard_count",
    "has_guarded_code",
    "recompile_reason",
}


def plus_one(x: torch.Tensor) -> torch.Tensor:
    """Compile to one graph."""
    return x + 1


def read(x: torch.Tensor) -> torch.Tensor:
    """Break the graph."""
    return x + x.sum().item()


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
        (dynamo_utils, "get_compilation_metrics"),
        (dynamo_utils, "graph_break_reasons"),
        (dynamo_utils, "_compilation_metrics"),
        (dynamo_utils, "set_compilation_metrics_limit"),
        (dynamo_utils, "DEFAULT_COMPILATION_METRICS_LIMIT"),
    ],
)
def test_every_private_name_is_there(module: object, name: str) -> None:
    """The message says which one is gone, and where it is used."""
    assert hasattr(module, name), MOVED.format(f"{getattr(module, '__name__', '')}.{name}")


def test_dynamos_account_of_a_frame_has_every_field_that_is_read() -> None:
    """A field that was renamed would otherwise be met in the middle of somebody's test."""
    fields = set(inspect.signature(dynamo_utils.CompilationMetrics).parameters)

    assert METRICS - fields == set(), MOVED.format(", ".join(sorted(METRICS - fields)))


def test_dynamos_reason_of_a_break_has_every_field_that_is_read() -> None:
    """Its text, and the user's stack at the break."""
    torch.compile(read, backend="eager")(torch.ones(2))
    reason = private.graph_break_reasons()[-1]

    assert isinstance(reason.reason, str)
    assert [frame.name for frame in reason.user_stack] == ["read"]


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


def test_each_compilation_is_accounted_for() -> None:
    """The newest last."""
    torch.compile(plus_one, backend="eager")(torch.ones(2))

    assert private.compilation_metrics()[-1].co_name == "plus_one"


def test_every_compilation_is_kept_and_then_the_limit_is_back() -> None:
    """Also after a failure in the block."""
    before = dynamo_utils._compilation_metrics.maxlen

    with pytest.raises(RuntimeError, match="planted at 100000"), private.every_compilation_kept():
        fail(f"planted at {dynamo_utils._compilation_metrics.maxlen}")

    assert dynamo_utils._compilation_metrics.maxlen == before


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
