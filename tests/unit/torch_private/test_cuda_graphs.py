"""States of CUDA graphs and what is kept out of them, on a machine without a GPU."""

import inspect
from collections.abc import Iterator
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from pytest_diffopt._torch_private import cuda_graphs
from pytest_diffopt._torch_private.cuda_graphs import (
    GraphState,
    KeptOut,
    compile_ids,
    cuda_graphs_watched,
    forget_kept_out,
    graph_states,
    kept_out,
)

TRACE = 'mutated inputs (1 instances). Found from : \n   File "/p/models.py", line 23, in forward\n    x.add_(1)\n'


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    forget_kept_out()
    yield
    forget_kept_out()


def test_names_of_torch() -> None:
    """Fails if torch renames what this module reads."""
    trees = import_module("torch._inductor.cudagraph_trees")
    manager = inspect.getsource(trees.CUDAGraphTreeManager)

    names = ("self.roots", "self.id_to_compile_id", "self.non_cudagraph_managed_mutation_hint")
    assert [name for name in names if name not in manager] == []
    assert {"device_index", "create_if_none_exists"} <= set(inspect.signature(trees.get_manager).parameters)
    assert {"wrapped_function", "children"} <= set(inspect.getsource(trees.CUDAGraphNode).replace("self.", " ").split())


def test_skip_is_noted_with_its_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside of a compilation it has no id; torch's function is called and restored."""
    utils, trees = map(import_module, ("torch._inductor.cudagraph_utils", "torch._inductor.cudagraph_trees"))
    monkeypatch.setattr(trees, "reset_cudagraph_trees", lambda: None)  # Dynamo's reset calls it on a GPU
    before, skips = utils.log_cudagraph_skip_and_bump_counter, torch._dynamo.utils.counters["inductor"]
    number = skips["cudagraph_skips"]
    with cuda_graphs_watched():
        utils.log_cudagraph_skip_and_bump_counter(f"skipping cudagraphs due to {TRACE}")
        noted = kept_out("")
        trees.reset_cudagraph_trees()
        after_reset = kept_out("")

    assert noted == (KeptOut(reason="mutated inputs (1 instances)", stack=(("/p/models.py", 23, "forward"),)),)
    assert after_reset == kept_out("") == ()
    assert utils.log_cudagraph_skip_and_bump_counter is before
    assert skips["cudagraph_skips"] == number + 1


def test_operation_outside_of_graphs_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the stack of its node; a fused node's parts are noted themselves."""
    scheduler = import_module("torch._inductor.scheduler")
    monkeypatch.setattr(scheduler.Scheduler, "should_partition", lambda _self, node: node.reason)
    origin = SimpleNamespace(meta={"stack_trace": TRACE})
    node = SimpleNamespace(reason="cpu ops", node=SimpleNamespace(get_origin_node=lambda: origin))
    fused = SimpleNamespace(reason="cpu ops", node=None, snodes=[node])
    with cuda_graphs_watched(), torch._inductor.config.patch({"triton.cudagraphs": True}):
        reasons = [scheduler.Scheduler.should_partition(None, one) for one in (node, fused)]
        noted = kept_out("")
    after_the_block = kept_out("")
    forget_kept_out()

    assert reasons == ["cpu ops", "cpu ops"]
    assert noted == after_the_block == (KeptOut(reason="cpu ops", stack=(("/p/models.py", 23, "forward"),)),)
    assert kept_out("") == ()


def test_states_of_graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A graph below another counts, and one graph of a compilation is enough."""

    def node(function: int, **children: Any) -> Any:
        return SimpleNamespace(wrapped_function=SimpleNamespace(id=function), children=children)

    manager = SimpleNamespace(
        roots={1: [node(1, later=[node(2)])]},
        id_to_compile_id={1: "0/0", 2: "1/0", 3: "2/0", 4: "3/0", 5: "0/0"},
        non_cudagraph_managed_mutation_hint={None: {3: True, 4: False}},
    )
    monkeypatch.setattr(cuda_graphs, "_manager", lambda: manager)

    assert graph_states() == {
        "0/0": GraphState.RECORDED,
        "1/0": GraphState.RECORDED,
        "2/0": GraphState.REFUSED,
        "3/0": GraphState.PENDING,
    }


def test_no_states_without_a_gpu() -> None:
    """Nothing is created to find that out."""
    assert graph_states() == {}


def test_compile_ids_are_dynamos() -> None:
    """Empty for a function that was never compiled."""

    def double(values: torch.Tensor) -> torch.Tensor:
        return values * 2

    before = compile_ids(double.__code__)
    torch.compile(double, backend="eager")(torch.ones(2))
    after = compile_ids(double.__code__)
    torch._dynamo.reset()

    assert before == frozenset()
    assert len(after) == 1
    assert "/" in next(iter(after))
