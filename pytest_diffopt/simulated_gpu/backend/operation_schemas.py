"""What torch's schemas say about an operation: what it reads, writes and shares; found once for each operation."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch._ops import OpOverload

from pytest_diffopt._torch_private import simulated_device as private
from pytest_diffopt.simulated_gpu.cuda import sync_table

_KNOWN_NAMESPACES = ("aten", "prim", "prims")
# They yield memory or look at it, and launch nothing; the schema does not say so.
_LAUNCHES_NOTHING = frozenset(
    {
        "aten.empty", "aten.empty_like", "aten.empty_strided", "aten.new_empty", "aten.new_empty_strided", "aten.set_",
        "aten.resize_", "aten.lift", "aten.lift_fresh", "aten.alias", "aten.detach", "aten.record_stream",
        "aten._unsafe_view", "aten.requires_grad_", "aten.resize_as_",
    }
)  # fmt: skip
# Only the shape of their operand matters.
_READS_NO_VALUES = frozenset(
    {
        "aten.empty_like", "aten.zeros_like", "aten.ones_like", "aten.full_like", "aten.rand_like", "aten.randn_like",
        "aten.randint_like", "aten.new_empty", "aten.new_empty_strided", "aten.new_zeros", "aten.new_ones",
        "aten.new_full",
    }
)  # fmt: skip
# Results that share memory with an operand although the schema calls them new.
_HIDDEN_VIEWS = {"aten._unsafe_view": 0}
_TAKES_HOST_TENSORS = frozenset(
    {
        "aten.index",
        "aten.index_put",
        "aten.index_put_",
        "aten._index_put_impl_",
        "aten._unsafe_index",
        "aten.set_",
        "aten.fill_",
        "aten._foreach_copy_",
    }
)

# Whatever lays these out is one piece of C++ for every device: structured kernels, and compositions of operations that
# are laid out alike themselves. Views and elementwise operations are known by their schema.
_ONE_LAYOUT = frozenset(
    {
        "aten._log_softmax", "aten._safe_softmax", "aten._softmax", "aten._to_copy", "aten._unsafe_view",
        "aten._upsample_nearest_exact2d", "aten._upsample_nearest_exact3d", "aten.addmm", "aten.all", "aten.amax",
        "aten.amin", "aten.any", "aten.argmax", "aten.argmin", "aten.avg_pool2d", "aten.baddbmm", "aten.bmm",
        "aten.cat", "aten.clone", "aten.constant_pad_nd", "aten.copy_", "aten.cumsum", "aten.embedding",
        "aten.empty_like", "aten.fill_", "aten.flip", "aten.full_like", "aten.gather", "aten.index",
        "aten.index_select", "aten.linalg_vector_norm", "aten.max", "aten.mean", "aten.min", "aten.mm",
        "aten.new_full", "aten.new_ones", "aten.new_zeros", "aten.ones_like", "aten.prod", "aten.repeat",
        "aten.sort", "aten.stack", "aten.sum", "aten.topk", "aten.tril", "aten.triu",
        "aten.upsample_nearest1d", "aten.upsample_nearest2d", "aten.upsample_nearest3d", "aten.var", "aten.zero_",
        "aten.zeros_like",
    }
)  # fmt: skip
# Of halves, their statistics may be of another dtype on CUDA.
_ONE_LAYOUT_IN_FLOATS = frozenset({"aten._fused_rms_norm", "aten.native_group_norm", "aten.native_layer_norm"})

_OF_CUDA_ALONE = frozenset(f"aten._scaled_dot_product_{kernel}_attention" for kernel in ("flash", "efficient", "cudnn"))

NEW, VIEW, WRITTEN = range(3)


class Operation:
    """One aten overload, as the dispatcher needs to know it.

    Attributes:
        overload: the operation itself.
        call: carries it out, without a look at what a call of `overload` asks for.
        name: `aten.add_`, without the overload.
        full_name: `aten.add_.Tensor`.
        returns: for each result whether it is new, a view or an operand written to, and the operand's position.
        writes: the positions of the operands that are written to.
        launches: whether it makes the device work.
        may_reshape: whether it may change the shape of an operand in place.
        is_composite: whether torch composes it from others everywhere.
        is_factory: whether only the shape of its operands matters.
        takes_host_tensors: whether host tensors of one dimension or more are welcome.
        is_foreign: whether it is not torch's own, so nothing is known of its cost.
        is_laid_out_alike: whether the CPU's result has CUDA's shape, strides and dtype beyond doubt.
        is_laid_out_alike_in_floats: whether it has where the first operand is of single precision.
        is_of_cuda_alone: whether only CUDA has it, so that its shape rule need not be told of which device is asked.
        is_convolution: whether the result is laid out as cuDNN does.
        has_flops: whether floating-point operations are counted.
        rules: the rows of the table of waits that speak of it.
    """

    def __init__(self, overload: OpOverload) -> None:
        schema = overload._schema  # noqa: SLF001 - how torch hands out an operation's schema
        self.overload = overload
        self.call = private.bare_call(overload)
        self.name = str(overload.overloadpacket)
        self.full_name = str(overload)
        self.positions = {argument.name: position for position, argument in enumerate(schema.arguments)}
        self.names = tuple(self.positions)
        self.defaults = {argument.name: argument.default_value for argument in schema.arguments}
        self.writes = tuple(
            position
            for position, argument in enumerate(schema.arguments)
            if argument.alias_info is not None and argument.alias_info.is_write
        )
        self.returns = tuple(self._return(result) for result in schema.returns)
        is_view = bool(self.returns) and not self.writes and all(kind == VIEW for kind, _ in self.returns)
        reshapes = torch.Tag.inplace_view in overload.tags
        self.launches = not (is_view or reshapes or self.name in _LAUNCHES_NOTHING) and (
            bool(self.writes) or any("Tensor" in str(result.type) for result in schema.returns)
        )
        self.may_reshape = reshapes or "out" in overload._overloadname or self.name in ("aten.resize_", "aten.set_")  # noqa: SLF001
        self.is_composite = private.is_composite(overload)
        self.is_factory = self.name in _READS_NO_VALUES
        self.takes_host_tensors = self.name in _TAKES_HOST_TENSORS
        self.is_foreign = overload.namespace not in _KNOWN_NAMESPACES
        self.is_of_cuda_alone = self.name in _OF_CUDA_ALONE
        self.is_convolution = self.name == "aten.convolution"
        self.has_flops = private.has_flops(overload)
        is_alike = is_view or torch.Tag.pointwise in overload.tags or self.name in _ONE_LAYOUT or self.is_convolution
        self.is_laid_out_alike = is_alike and not (self.may_reshape or self.is_foreign)
        self.is_laid_out_alike_in_floats = self.is_laid_out_alike or self.name in _ONE_LAYOUT_IN_FLOATS
        self.rules = sync_table.rules_for(self.full_name)

    def _return(self, result: Any) -> tuple[int, int]:
        if self.name in _HIDDEN_VIEWS:
            return VIEW, _HIDDEN_VIEWS[self.name]
        arguments = self.overload._schema.arguments  # noqa: SLF001
        if result.alias_info is None:
            return NEW, -1
        shared = [
            position
            for position, argument in enumerate(arguments)
            if argument.alias_info is not None and _may_share(argument.alias_info, result.alias_info)
        ]
        return (WRITTEN if shared[0] in self.writes else VIEW), shared[0]

    def argument(self, position: int, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Return an operand by its position, however it was given."""
        return args[position] if position < len(args) else kwargs.get(self.names[position])

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return all operands by name, defaults included."""
        return {**self.defaults, **dict(zip(self.names, args, strict=False)), **kwargs}


def _may_share(argument: Any, result: Any) -> bool:
    # Views that yield lists say `(a -> *)`: the result may share with anything.
    return bool(argument.before_set & result.before_set) or "*" in argument.after_set


@functools.cache
def operation(overload: OpOverload) -> Operation:
    """Return what is known of an operation."""
    return Operation(overload)
