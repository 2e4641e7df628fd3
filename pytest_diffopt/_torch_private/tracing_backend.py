"""A `torch.compile` backend that traces as for Inductor but generates no code."""

from collections.abc import Callable
from typing import Any

import torch
from torch._dynamo.backends.common import aot_autograd
from torch._dynamo.backends.debugging import boxed_nop
from torch._prims_common import suggest_memory_format

_GROUP_NORM = torch.ops.aten.native_group_norm.default
_COPY = torch.ops.aten.clone.default


def trace_only(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Callable[..., Any]:
    """Run the graph that Dynamo and AOTAutograd traced with eager kernels, one operation after another.

    This is torch's `aot_eager` with a workaround (for torch 2.13). With batch size 1 the stride of the batch dimension
    is arbitrary, so at run time it can differ from the traced view. `native_group_norm` uses it to decide whether its
    input is channels_last, and raises if the answer differs from the traced one (AutoencoderKL's decoder). The
    workaround clones the input in the traced layout, which fixes the strides.

    Args:
        graph: the graph that Dynamo captured.
        inputs: the inputs of the call in which it was captured.

    Returns:
        A function that replaces the captured code.
    """
    compiled: Callable[..., Any] = _AOT(graph, inputs)
    return compiled


def _run_by_eager_kernels(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Any:
    for norm in graph.graph.find_nodes(op="call_function", target=_GROUP_NORM):
        layout: dict[str, Any] = {"memory_format": suggest_memory_format(norm.args[0].meta["val"])}
        with graph.graph.inserting_before(norm):
            norm.update_arg(0, graph.graph.call_function(_COPY, (norm.args[0],), layout))
    return boxed_nop(graph, inputs)


_AOT = aot_autograd(fw_compiler=_run_by_eager_kernels, bw_compiler=boxed_nop, keep_inference_input_mutations=True)
