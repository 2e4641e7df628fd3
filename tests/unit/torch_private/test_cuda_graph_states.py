"""The state of CUDA graphs, read from torch's own manager by the names that its versions give."""

from types import SimpleNamespace

import pytest

from pytest_diffopt._torch_private import cuda_graphs
from pytest_diffopt._torch_private.cuda_graphs import GraphState, graph_states


@pytest.mark.parametrize("attribute", ["non_cudagraph_managed_mutation_hint", "skip_cudagraph"])
def test_refused_function(monkeypatch: pytest.MonkeyPatch, attribute: str) -> None:
    """Up to torch 2.14, and from 2.15 on."""
    manager = SimpleNamespace(
        roots={}, id_to_compile_id={1: "0/0", 2: "1/0"}, **{attribute: {None: {1: True, 2: False}, 7: {2: False}}}
    )
    monkeypatch.setattr(cuda_graphs, "_manager", lambda: manager)

    assert graph_states() == {"0/0": GraphState.REFUSED, "1/0": GraphState.PENDING}
