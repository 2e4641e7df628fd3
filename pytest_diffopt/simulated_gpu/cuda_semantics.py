"""What CUDA does: which operations make the CPU wait, under which conditions, how often, and who says so.

One row for each rule. The rules are replayed, never inferred from what torch happens to do on the simulated device: C++
asks "is this CUDA" in many places and sends every other backend elsewhere. Sources are files of PyTorch 2.13; nothing
here was seen on a card yet (`confirmed_on` is empty everywhere).
"""

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from ._torch_private import DEVICE_TYPE
from .records import SyncKind


class Confidence(enum.Enum):
    """How a rule is known."""

    BINARY = "call graph of the official binary"
    SOURCE = "source read"
    DOCUMENTED = "documentation or issue"
    INFERRED = "inferred"


@dataclass(frozen=True, slots=True)
class Call:
    """One operation with its operands by name.

    Attributes:
        operation: full name, `aten.index.Tensor`.
        operands: all of them by name, defaults included.
    """

    operation: str
    operands: dict[str, Any]

    def __getitem__(self, name: str) -> Any:
        """Return an operand; None where the operation has none of that name."""
        return self.operands.get(name)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """One row: when an operation makes the CPU wait.

    Attributes:
        name: what a person calls the case.
        operations: aten overloads (`aten.index.Tensor`), all overloads of one (`aten.equal`), or a Python method.
        kind: why the CPU waits.
        waits: how often one call waits.
        is_reported: whether `torch.cuda.set_sync_debug_mode` reports it.
        source: where torch says so.
        confidence: how well it is known.
        confirmed_on: cards on which it was seen, with the torch version.
    """

    name: str
    operations: tuple[str, ...]
    waits: Callable[[Call], int]
    source: str
    kind: SyncKind = SyncKind.READ
    is_reported: bool = True
    confidence: Confidence = Confidence.BINARY
    confirmed_on: tuple[str, ...] = ()


def is_on_device(value: Any) -> bool:
    """Tell whether something is a tensor on the simulated GPU."""
    return isinstance(value, torch.Tensor) and value.device.type == DEVICE_TYPE


def is_on_host(value: Any) -> bool:
    """Tell whether something is a tensor in the host's memory."""
    return isinstance(value, torch.Tensor) and value.device.type == "cpu"


def is_mask(value: torch.Tensor) -> bool:
    """Tell whether an index selects by truth instead of by position."""
    return value.dtype in (torch.bool, torch.uint8)


def once_on_device(*names: str) -> Callable[[Call], int]:
    """Wait once if any of these operands is on the device."""
    return lambda call: int(any(is_on_device(call[name]) for name in names))


def once_each_on_device(*names: str) -> Callable[[Call], int]:
    """Wait once for each of these operands that is a 0-dimensional tensor on the device."""
    return lambda call: sum(is_on_device(call[name]) and call[name].dim() == 0 for name in names)


def twice(_: Call) -> int:
    """Wait twice."""
    return 2


def once(_: Call) -> int:
    """Wait once."""
    return 1


def _equal(call: Call) -> int:
    mine, other = call["self"], call["other"]
    return int(mine is not other and mine.shape == other.shape and mine.numel() > 0)


def _once_unless_empty(call: Call) -> int:
    return int(call["self"].numel() > 0)


def _bincount(call: Call) -> int:
    if not call["self"].numel():
        return 0
    return 1 if call["self"].dtype == torch.uint8 else 2


def _histc(call: Call) -> int:
    return 2 if call["min"] == call["max"] else 0


def _repeat_interleave(call: Call) -> int:
    return 0 if call["output_size"] is not None else 2


# at::isin: `test.numel() < 10 * elements.numel() ** 0.145` compares all pairs, else it sorts.
_ISIN_FACTOR, _ISIN_POWER = 10.0, 0.145


def _isin(call: Call) -> int:
    elements, tests = call["elements"].numel(), call["test_elements"].numel()
    is_sorted = tests >= int(_ISIN_FACTOR * elements**_ISIN_POWER)
    return 2 if is_sorted and not call["assume_unique"] else 0


# at::mode sorts slices up to this length inside one kernel.
_MODE_FUSED_LENGTH = 2048


def _mode(call: Call) -> int:
    tensor, dim = call["self"], call["dim"]
    length = tensor.shape[dim] if tensor.dim() else 1
    return tensor.numel() // length if length > _MODE_FUSED_LENGTH else 0


def _indices(call: Call) -> list[torch.Tensor]:
    return [index for index in call["indices"] if index is not None]


def _masks(call: Call) -> int:
    return sum(is_mask(index) and is_on_device(index) for index in _indices(call))


def _host_positions(call: Call) -> int:
    if not is_on_device(call["self"]):
        return 0
    return sum(is_on_host(index) and index.dim() > 0 and not is_mask(index) for index in _indices(call))


def _is_masked_fill(call: Call) -> bool:
    """Tell whether `x[mask] = number` becomes a masked fill: `canDispatchToMaskedFill`."""
    indices = _indices(call)
    value = call["values"]
    return (
        len(indices) == 1
        and indices[0].dtype == torch.bool
        and not call["accumulate"]
        and value.numel() == 1
        and is_on_host(value)
    )


def _masks_written_through(call: Call) -> int:
    return 0 if _is_masked_fill(call) else _masks(call)


def _host_value_written(call: Call) -> int:
    return int(is_on_device(call["self"]) and is_on_host(call["values"]) and not _is_masked_fill(call))


def _segment_reduce(call: Call) -> int:
    return 2 if call["lengths"] is not None and not call["unsafe"] else 0


def _where(call: Call) -> int:
    operands = [call[name] for name in ("condition", "self", "other")]
    if not any(is_on_device(one) for one in operands):
        return 0
    return sum(is_on_host(one) and one.dim() == 0 for one in operands)


def _searchsorted(call: Call) -> int:
    return 2 if call["sorter"] is not None and call["sorter"].numel() else 0


def _ctc_loss(call: Call) -> int:
    return sum(is_on_device(call[name]) for name in ("input_lengths", "target_lengths"))


def _foreach_copy(call: Call) -> int:
    if call["non_blocking"]:
        return 0
    return sum(is_on_device(to) != is_on_device(source) for to, source in zip(call["self"], call["src"], strict=True))


_PUT = ("aten.index_put", "aten.index_put_", "aten._index_put_impl_")

RULES: tuple[Rule, ...] = (
    Rule(
        name="item",
        operations=("aten._local_scalar_dense",),
        waits=once_on_device("self"),
        source="native/cuda/CUDAScalar.cu",
    ),
    Rule(name="equal", operations=("aten.equal",), waits=_equal, source="native/cuda/Equal.cpp"),
    Rule(name="allclose", operations=("aten.allclose",), waits=once, source="native/TensorCompare.cpp"),
    Rule(
        name="linalg check",
        operations=("aten._linalg_check_errors",),
        waits=once_on_device("info"),
        source="native/BatchLinearAlgebra.cpp",
    ),
    Rule(
        name="svd convergence",
        operations=("aten._linalg_svd",),
        waits=once,
        source="native/cuda/linalg/BatchLinearAlgebraLib.cpp _check_gesvdj_convergence",
        kind=SyncKind.COPY_TO_HOST,
        confidence=Confidence.SOURCE,
    ),
    Rule(name="nonzero", operations=("aten.nonzero",), waits=once, source="native/cuda/Nonzero.cu"),
    Rule(
        name="masked_select",
        operations=("aten.masked_select",),
        waits=once_on_device("mask"),
        source="native/cuda/IndexKernel.cpp",
    ),
    Rule(
        name="unique",
        operations=("aten._unique2", "aten._unique", "aten.unique_consecutive"),
        waits=_once_unless_empty,
        source="native/cuda/UniqueCub.cu",
    ),
    Rule(
        name="unique along a dimension",
        operations=("aten.unique_dim", "aten.unique_dim_consecutive"),
        waits=once,
        source="native/cuda/Unique.cu (waits inside Thrust)",
        is_reported=False,
    ),
    Rule(name="bincount", operations=("aten.bincount",), waits=_bincount, source="native/cuda/SummaryOps.cu"),
    Rule(
        name="histc without a range",
        operations=("aten.histc",),
        waits=_histc,
        source="native/cuda/SummaryOps.cu",
    ),
    Rule(
        name="repeat_interleave without output_size",
        operations=("aten.repeat_interleave.Tensor",),
        waits=_repeat_interleave,
        source="native/Repeat.h",
    ),
    Rule(
        name="isin that sorts",
        operations=("aten.isin.Tensor_Tensor",),
        waits=_isin,
        source="native/TensorCompare.cpp",
    ),
    Rule(
        name="mode of long slices",
        operations=("aten.mode",),
        waits=_mode,
        source="native/cuda/TensorModeKernel.cu",
    ),
    Rule(
        name="searchsorted with a sorter",
        operations=("aten.searchsorted",),
        waits=_searchsorted,
        source="native/BucketizationUtils.h",
    ),
    Rule(
        name="segment_reduce with lengths",
        operations=("aten.segment_reduce",),
        waits=_segment_reduce,
        source="native/SegmentReduce.cpp",
    ),
    Rule(
        name="mask as an index",
        operations=("aten.index.Tensor", "aten._unsafe_index.Tensor"),
        waits=_masks,
        source="native/IndexingUtils.h expandTensors",
    ),
    Rule(
        name="host positions as an index",
        operations=("aten.index.Tensor", "aten._unsafe_index.Tensor", *_PUT),
        waits=_host_positions,
        source="native/IndexingUtils.h expandTensors",
        kind=SyncKind.COPY_FROM_HOST,
        confidence=Confidence.SOURCE,
    ),
    Rule(
        name="written through a mask",
        operations=_PUT,
        waits=_masks_written_through,
        source="native/TensorAdvancedIndexingUtils.h canDispatchToMaskedFill",
    ),
    Rule(
        name="number written through positions",
        operations=_PUT,
        waits=_host_value_written,
        source="native/TensorAdvancedIndexing.cpp _index_put_impl_; gone after PyTorch PR 188330",
        kind=SyncKind.COPY_FROM_HOST,
    ),
    Rule(
        name="index_fill with a device value",
        operations=("aten.index_fill.int_Tensor", "aten.index_fill_.int_Tensor"),
        waits=once_on_device("value"),
        source="native/TensorAdvancedIndexing.cpp",
    ),
    Rule(
        name="masked_fill with a device value",
        operations=("aten.masked_fill.Tensor", "aten.masked_fill_.Tensor"),
        waits=once_on_device("value"),
        source="native/cuda/Indexing.cu masked_fill__cuda",
    ),
    Rule(
        name="where with a host scalar",
        operations=("aten.where.self",),
        waits=_where,
        source="native/TensorCompare.cpp where_self_out",
        kind=SyncKind.COPY_FROM_HOST,
        confidence=Confidence.SOURCE,
    ),
    Rule(
        name="end point on the device",
        operations=(
            "aten.linspace.Tensor_Tensor",
            "aten.linspace.Tensor_Scalar",
            "aten.linspace.Scalar_Tensor",
            "aten.logspace.Tensor_Tensor",
            "aten.logspace.Tensor_Scalar",
            "aten.logspace.Scalar_Tensor",
        ),
        waits=once_each_on_device("start", "end"),
        source="native/RangeFactories.cpp",
    ),
    Rule(
        name="normal with a tensor of deviations",
        operations=("aten.normal.float_Tensor", "aten.normal.Tensor_Tensor"),
        waits=once_on_device("std"),
        source="native/DistributionTemplates.h",
    ),
    Rule(
        name="ctc_loss with device lengths",
        operations=("aten._ctc_loss.Tensor",),
        waits=_ctc_loss,
        source="native/LossCTC.cpp",
        kind=SyncKind.COPY_TO_HOST,
        confidence=Confidence.SOURCE,
    ),
    Rule(
        name="foreach copy over the bus",
        operations=("aten._foreach_copy_",),
        waits=_foreach_copy,
        source="native/cuda/ForeachBinaryOpList.cu",
        kind=SyncKind.COPY_FROM_HOST,
        confidence=Confidence.SOURCE,
    ),
)


def rules_for(full_name: str) -> tuple[Rule, ...]:
    """Return the rows that speak of an overload such as `aten.index.Tensor`."""
    packet = full_name.rsplit(".", 1)[0]
    return tuple(rule for rule in RULES if full_name in rule.operations or packet in rule.operations)
