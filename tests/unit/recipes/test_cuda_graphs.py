"""Which parts of a pipeline run without a CUDA graph, and how it is shown."""

import functools
from collections.abc import Callable
from types import CodeType
from typing import Any

import pytest
import torch

from pytest_diffopt._torch_private.cuda_graphs import GraphState, KeptOut
from pytest_diffopt.recipes import cuda_graphs
from pytest_diffopt.recipes.cuda_graphs import targets_without_graphs


def unet() -> None:
    """Stand in for a compiled function."""


@functools.wraps(unet)
def decorated() -> None:
    """Stand in for a decorated one."""


def decode() -> None:
    """Stand in for another compiled function."""


PARTS: dict[str, list[Any]] = {"unet": [decorated], "vae.decode": [decode]}
IDS = {unet.__code__: "0/0", decode.__code__: "1/0"}


@pytest.fixture
def states(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Return the lines for the states of torch's graphs, and what was kept out of them."""

    def lines(known: dict[str, GraphState], **reasons: list[KeptOut]) -> list[str]:
        def ids(code: CodeType) -> frozenset[str]:
            return frozenset({IDS[code]} if code in IDS else ())

        monkeypatch.setattr(cuda_graphs, "graph_states", lambda: known)
        monkeypatch.setattr(cuda_graphs, "compile_ids", ids)
        monkeypatch.setattr(cuda_graphs, "kept_out", lambda compile_id: reasons.get(f"of_{compile_id[:1]}", ()))
        return list(targets_without_graphs(PARTS))

    return lines


def test_every_part_has_a_graph(states: Callable[..., list[str]]) -> None:
    """One that is recorded at the next call counts."""
    assert states({"0/0": GraphState.RECORDED, "1/0": GraphState.PENDING}) == []


def test_part_without_a_graph_is_named_with_its_reasons(states: Callable[..., list[str]]) -> None:
    """The innermost line of the user's code; torch's own lines are passed over."""
    stack = (("/p/models.py", 12, "forward"), (torch.nn.functional.__file__, 3, "pad"))
    lines = states({"1/0": GraphState.RECORDED}, of_0=[KeptOut(reason="cpu ops", stack=stack), KeptOut(reason="other")])

    assert lines == ["unet launches no CUDA graph (cpu ops at /p/models.py:12; other)"]


def test_graph_that_torch_refuses_is_none(states: Callable[..., list[str]]) -> None:
    """What torch finds at a call has no id of a compilation."""
    reasons = [KeptOut(reason=f"reason {number}") for number in range(5)]
    lines = states({"0/0": GraphState.RECORDED, "1/0": GraphState.REFUSED}, of_=reasons)

    assert lines == ["vae.decode launches no CUDA graph (reason 0; reason 1; reason 2; and 2 more)"]


def test_nothing_captured_without_a_reason(states: Callable[..., list[str]]) -> None:
    """Torch counts no skip where no partition can be captured."""
    assert states({})[0] == (
        "unet launches no CUDA graph (torch gives no reason; for code from its cache, "
        "TORCHINDUCTOR_FORCE_DISABLE_CACHES=1 shows it)"
    )


def test_graph_of_code_after_a_break_may_be_any_parts(states: Callable[..., list[str]]) -> None:
    """Then no part is reported, for it may be its."""
    assert states({"7/0": GraphState.RECORDED}) == []
