"""torch's private names are where this version of the package expects them; a torch that moved one fails here."""

import pytest
import torch

from pytest_diffopt import _torch_private


def double(x: torch.Tensor) -> torch.Tensor:
    """Be compiled."""
    return x * 2


@pytest.fixture(autouse=True)
def nothing_compiled() -> None:
    """Forget what other tests compiled."""
    torch.compiler.reset()


def test_compiled_code_is_counted_once_it_ran() -> None:
    """Compiling is lazy: only a call makes code."""
    compiled = torch.compile(double, backend="eager")
    before = _torch_private.compiled_code_count(double.__code__)
    compiled(torch.ones(2))

    assert (before, _torch_private.compiled_code_count(double.__code__)) == (0, 1)


def test_what_was_compiled_is_known() -> None:
    """The original of a compiled function, and whether a module was compiled in place."""
    module = torch.nn.Linear(2, 2)
    before = _torch_private.is_compiled_module(module)
    module.compile(backend="eager")

    assert _torch_private.original_callable(torch.compile(double, backend="eager")) is double
    assert _torch_private.original_callable(double) is None
    assert (before, _torch_private.is_compiled_module(module)) == (False, True)


def test_each_compilation_has_its_metrics() -> None:
    """With every field that the compile log reads."""
    torch.compile(double, backend="eager")(torch.ones(2))
    metrics = _torch_private.compilation_metrics()[-1]

    assert metrics.co_name == "double"
    assert metrics.co_filename == __file__
    assert metrics.has_guarded_code
    assert metrics.graph_op_count == 1
    assert metrics.guard_count > 0
    assert metrics.duration_us > 0
    assert metrics.compile_id
    assert metrics.recompile_reason is None
    assert metrics.fail_user_frame_filename is None


def test_each_graph_break_has_its_reason() -> None:
    """With the user's stack."""

    def breaks(x: torch.Tensor) -> torch.Tensor:
        torch._dynamo.graph_break()
        return x * 2

    torch.compile(breaks, backend="eager")(torch.ones(2))
    reason = _torch_private.graph_break_reasons()[-1]

    assert isinstance(reason.reason, str)
    assert reason.user_stack[-1].name == "breaks"


def test_a_break_under_fullgraph_raises_its_own_error() -> None:
    """Which the probe tells from what a user's code raises."""

    def breaks(x: torch.Tensor) -> torch.Tensor:
        torch._dynamo.graph_break()
        return x * 2

    with pytest.raises(_torch_private.FullGraphError):
        torch.compile(breaks, backend="eager", fullgraph=True)(torch.ones(2))


def test_more_metrics_than_torchs_64_are_kept_for_a_while() -> None:
    """And torch's own limit holds again afterwards."""
    with _torch_private.every_compilation_kept():
        for number in range(70):
            torch.compiler.reset()
            torch.compile(double, backend="eager")(torch.ones(number + 2))
        kept = len(_torch_private.compilation_metrics())

    assert kept >= 70
    assert len(_torch_private.compilation_metrics()) <= 64
