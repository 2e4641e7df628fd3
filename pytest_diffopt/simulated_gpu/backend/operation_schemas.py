"""Facts about an operation from its schema: what it reads, writes and shares; computed once for each overload."""

import enum
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch._ops import OpOverload

from pytest_diffopt._torch_private.flop_formulas import has_flops
from pytest_diffopt._torch_private.overloads import (
    depends_on_data,
    direct_call,
    has_out_argument,
    is_composite,
    schema_arguments,
    schema_returns,
)
from pytest_diffopt.simulated_gpu.cuda import sync_table

_KNOWN_NAMESPACES = ("aten", "prim", "prims")
# They return memory or views and launch no kernel, which the schema does not show.
_LAUNCHES_NOTHING = frozenset(
    {
        "aten.empty", "aten.empty_like", "aten.empty_strided", "aten.new_empty", "aten.new_empty_strided", "aten.set_",
        "aten.resize_", "aten.lift", "aten.lift_fresh", "aten.alias", "aten.detach", "aten.record_stream",
        "aten._unsafe_view", "aten.requires_grad_", "aten.resize_as_",
    }
)  # fmt: skip
# They use only the shape of their operand.
_READS_NO_VALUES = frozenset(
    {
        "aten.empty_like", "aten.zeros_like", "aten.ones_like", "aten.full_like", "aten.rand_like", "aten.randn_like",
        "aten.randint_like", "aten.new_empty", "aten.new_empty_strided", "aten.new_zeros", "aten.new_ones",
        "aten.new_full",
    }
)  # fmt: skip
# The result shares memory with this operand, although the schema declares it as new.
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
        "aten._pack_padded_sequence",
    }
)

# The same C++ code lays out their results on every device: structured kernels, and compositions of such operations.
# Views and elementwise operations are recognized by their schema.
_SAME_LAYOUT = frozenset(
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
# For half precision, their statistics may have another dtype on CUDA.
_SAME_LAYOUT_IN_FLOAT32 = frozenset({"aten._fused_rms_norm", "aten.native_group_norm", "aten.native_layer_norm"})

_PRODUCTS = frozenset(
    f"aten.{name}" for name in ("mm", "addmm", "bmm", "baddbmm", "addmv", "dot", "vdot", "_int_mm", "_scaled_mm")
)
_CUDA_ONLY = frozenset(f"aten._scaled_dot_product_{kernel}_attention" for kernel in ("flash", "efficient", "cudnn"))


class ResultKind(enum.Enum):
    """How a result relates to the operands."""

    NEW = "new memory"
    VIEW = "a view of an operand"
    WRITTEN = "an operand that was written to"


class Operation:
    """The facts about one aten overload that the dispatcher needs.

    Attributes:
        overload: the overload.
        call: runs it, without the checks of `overload.__call__`.
        name: the name without the overload: `aten.add_`.
        full_name: the name with the overload: `aten.add_.Tensor`.
        returns: for each result its kind, and the position of the operand that it shares memory with; -1 for none.
        writes: the positions of the operands that it writes to.
        launches: whether it launches work on the device.
        may_reshape: whether it may change the shape of an operand in place.
        is_composite: whether torch decomposes it on every device.
        is_factory: whether it uses only the shape of its operands.
        takes_host_tensors: whether it accepts host tensors of one dimension or more.
        is_foreign: whether it is not one of torch's operations, so its cost is not known.
        is_unknown: whether it is foreign, or depends on values and has no row in the sync table.
        has_cpu_layout: whether the CPU's result always has CUDA's shape, strides and dtype.
        has_cpu_layout_in_float32: whether it has them when the first operand is float32.
        is_cuda_only: whether only CUDA has a kernel, so its shape rule gives the same result on every device.
        is_convolution: whether cuDNN's rule lays out the result.
        is_product: whether cuBLAS runs it.
        has_flops: whether its FLOPs are counted.
        rules: its rows in the sync table.
    """

    def __init__(self, overload: OpOverload) -> None:
        arguments, returns = schema_arguments(overload), schema_returns(overload)
        self.overload = overload
        self.call = direct_call(overload)
        self.name = str(overload.overloadpacket)
        self.full_name = str(overload)
        self.names = tuple(argument.name for argument in arguments)
        self.defaults = {argument.name: argument.default_value for argument in arguments}
        self.writes = tuple(
            position
            for position, argument in enumerate(arguments)
            if argument.alias_info is not None and argument.alias_info.is_write
        )
        self.returns = tuple(self._return(result) for result in returns)
        self._is_view = bool(returns) and not self.writes and all(kind is ResultKind.VIEW for kind, _ in self.returns)
        self._reshapes = torch.Tag.inplace_view in overload.tags
        self.launches = self._launches(returns)
        self.may_reshape = self._reshapes or has_out_argument(overload) or self.name in ("aten.resize_", "aten.set_")
        self.is_composite = is_composite(overload)
        self.is_factory = self.name in _READS_NO_VALUES
        self.takes_host_tensors = self.name in _TAKES_HOST_TENSORS
        self.is_foreign = overload.namespace not in _KNOWN_NAMESPACES
        self.is_cuda_only = self.name in _CUDA_ONLY
        self.is_convolution = self.name == "aten.convolution"
        self.is_product = self.name in _PRODUCTS
        self.has_flops = has_flops(overload)
        self.has_cpu_layout = self._has_cpu_layout()
        self.has_cpu_layout_in_float32 = self.has_cpu_layout or self.name in _SAME_LAYOUT_IN_FLOAT32
        self.rules = sync_table.rules_for(self.full_name)
        self.is_unknown = self.is_foreign or (depends_on_data(overload) and not self.has_rows)

    @property
    def has_rows(self) -> bool:
        """Whether the sync table has rows for it, be it for another torch."""
        return sync_table.has_rows(self.full_name)

    def _launches(self, returns: Sequence[Any]) -> bool:
        if self._is_view or self._reshapes or self.name in _LAUNCHES_NOTHING:
            return False
        return bool(self.writes) or any("Tensor" in str(result.type) for result in returns)

    def _has_cpu_layout(self) -> bool:
        if self.may_reshape or self.is_foreign:
            return False
        is_elementwise = torch.Tag.pointwise in self.overload.tags
        return self._is_view or is_elementwise or self.name in _SAME_LAYOUT or self.is_convolution

    def _return(self, result: Any) -> tuple[ResultKind, int]:
        if self.name in _HIDDEN_VIEWS:
            return ResultKind.VIEW, _HIDDEN_VIEWS[self.name]
        if result.alias_info is None:
            return ResultKind.NEW, -1
        shared = [
            position
            for position, argument in enumerate(schema_arguments(self.overload))
            if argument.alias_info is not None and _may_share(argument.alias_info, result.alias_info)
        ]
        return (ResultKind.WRITTEN if shared[0] in self.writes else ResultKind.VIEW), shared[0]

    def argument(self, position: int, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Return an operand by its position, whether it was passed by position or by keyword."""
        return args[position] if position < len(args) else kwargs.get(self.names[position])

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return all operands by name, including defaults."""
        return {**self.defaults, **dict(zip(self.names, args, strict=False)), **kwargs}


def _may_share(argument: Any, result: Any) -> bool:
    # The schema of a view that returns a list has `(a -> *)`: the result may share memory with any operand.
    return bool(argument.before_set & result.before_set) or "*" in argument.after_set


@functools.cache
def operation(overload: OpOverload) -> Operation:
    """Return the facts about an overload."""
    return Operation(overload)
