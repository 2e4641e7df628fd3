"""A backend of `torch.compile` that traces as for Inductor and generates no code."""

from collections.abc import Callable
from typing import Any

import torch
from torch._dynamo.backends.common import aot_autograd
from torch._dynamo.backends.debugging import boxed_nop
from torch._prims_common import suggest_memory_format

_GROUP_NORM = torch.ops.aten.native_group_norm.default
_COPY = torch.ops.aten.clone.default


def trace_only(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Callable[..., Any]:
    """Run what Dynamo and AOTAutograd traced by eager kernels, one operation after another.

    torch's own `aot_eager`, with one fault fixed (seen in torch 2.13): of a single image, the batch's stride means
    nothing, and a view may have another one than the view that was traced; but whether `native_group_norm` takes its
    input for channels_last depends on it, and the one that it then does not expect is an error (AutoencoderKL's
    decoder). A copy in the layout that was traced has that layout's strides.

    Args:
        graph: what Dynamo captured.
        inputs: of the call in which it was captured.

    Returns:
        What runs in place of the captured code.
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
