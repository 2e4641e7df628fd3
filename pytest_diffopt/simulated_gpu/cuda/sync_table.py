"""The sync table: which operations synchronize on CUDA, under which conditions, how often, and the source of each rule.

The rules are never inferred from what torch does on the simulated device, because its C++ code branches on "is this
CUDA" in many places. An operation without a row does not synchronize, unless it is unknown: not torch's own, or
declared by torch to depend on values. Sources are files of PyTorch 2.13 below `aten/src/ATen/`. Of each row,
`confirmed_by` names the releases whose own CUDA code made the same syncs on the null GPU; none was observed on a GPU.
"""

import functools

import torch

from pytest_diffopt.simulated_gpu.cuda import sync_conditions as on
from pytest_diffopt.simulated_gpu.cuda.sync_rule import Confidence, Rule
from pytest_diffopt.simulated_gpu.observations import SyncKind

_INDEX = ("aten.index", "aten._unsafe_index")
_PUT = ("aten.index_put", "aten.index_put_", "aten._index_put_impl_")

_COPIES = (
    Rule(
        name="blocking copy to the device",
        operations=("aten.copy_",),
        syncs=on.blocking_copy_in,
        source="native/cuda/Copy.cu copy_kernel_cuda",
        kind=SyncKind.COPY_FROM_HOST,
    ),
    Rule(
        name="non-blocking copy to the device from pageable memory",
        operations=("aten.copy_",),
        syncs=on.pageable_copy_in,
        source="native/cuda/Copy.cu copy_kernel_cuda; CUDA Runtime API, API synchronization behavior",
        kind=SyncKind.COPY_FROM_HOST,
        is_reported=False,
        confidence=Confidence.DOCUMENTED,
    ),
    Rule(
        name="blocking copy to the host",
        operations=("aten.copy_",),
        syncs=on.blocking_copy_out,
        source="native/cuda/Copy.cu copy_kernel_cuda",
        kind=SyncKind.COPY_TO_HOST,
    ),
    Rule(
        name="blocking conversion to the host",
        operations=("aten._to_copy",),
        syncs=on.blocking_conversion_out,
        source="native/TensorConversions.cpp _to_copy; native/cuda/Copy.cu",
        kind=SyncKind.COPY_TO_HOST,
    ),
    Rule(
        name="non-blocking copy to pageable host memory",
        operations=("aten.copy_",),
        syncs=on.pageable_copy_out,
        source="native/cuda/Copy.cu copy_kernel_cuda; CUDA Runtime API, API synchronization behavior",
        kind=SyncKind.COPY_TO_HOST,
        is_reported=False,
        confidence=Confidence.DOCUMENTED,
    ),
    Rule(
        name="foreach copy over the bus",
        operations=("aten._foreach_copy_",),
        syncs=on.foreach_copy,
        source="native/cuda/ForeachBinaryOpList.cu",
        kind=SyncKind.COPY_FROM_HOST,
        confidence=Confidence.SOURCE,
    ),
)

_READS = (
    Rule(
        name="item",
        operations=("aten._local_scalar_dense",),
        syncs=on.once_on_device("self"),
        source="native/cuda/CUDAScalar.cu",
    ),
    Rule(
        name="tolist",
        operations=("Tensor.tolist",),
        syncs=on.once_unless_empty,
        source="torch/csrc/utils/tensor_list.cpp",
        confidence=Confidence.SOURCE,
    ),
    Rule(
        name="equal",
        operations=("aten.equal",),
        syncs=on.equal,
        source="native/cuda/Equal.cpp",
    ),
    Rule(
        name="allclose",
        operations=("aten.allclose",),
        syncs=on.once,
        source="native/TensorCompare.cpp",
    ),
    Rule(
        name="linalg check",
        operations=("aten._linalg_check_errors",),
        syncs=on.once_on_device("info"),
        source="native/BatchLinearAlgebra.cpp",
    ),
    Rule(
        name="linalg check inside the kernel",
        operations=("aten._linalg_svd", "aten._linalg_eigh"),
        syncs=on.once,
        source="native/BatchLinearAlgebra.cpp _linalg_check_errors",
        confidence=Confidence.INFERRED,
    ),
    Rule(
        name="linalg check on request",
        operations=(
            "aten.linalg_cholesky_ex",
            "aten.linalg_inv_ex",
            "aten.linalg_lu_factor_ex",
            "aten.linalg_ldl_factor_ex",
            "aten._linalg_solve_ex",
        ),
        syncs=on.errors_checked,
        source="native/BatchLinearAlgebra.cpp _linalg_check_errors",
        confidence=Confidence.SOURCE,
    ),
    Rule(
        name="eigenvalues",
        operations=("aten._linalg_eigvals",),
        syncs=on.eigenvalues,
        source="native/BatchLinearAlgebra.cpp linalg_eigvals_out",
        confidence=Confidence.OBSERVED,
    ),
    Rule(
        name="eigenvectors",
        operations=("aten.linalg_eig",),
        syncs=on.eigenvectors,
        source="native/BatchLinearAlgebra.cpp linalg_eig_out",
        confidence=Confidence.OBSERVED,
    ),
    Rule(
        name="least squares",
        operations=("aten.linalg_lstsq",),
        syncs=on.once,
        source="native/BatchLinearAlgebra.cpp linalg_lstsq_out",
        confidence=Confidence.OBSERVED,
    ),
    Rule(
        name="matrix exponential",
        operations=("aten.linalg_matrix_exp",),
        syncs=on.matrix_exp,
        source="native/LinearAlgebra.cpp mexp_impl",
        confidence=Confidence.OBSERVED,
    ),
    Rule(
        name="svd convergence",
        operations=("aten._linalg_svd",),
        syncs=on.once,
        source="native/cuda/linalg/BatchLinearAlgebraLib.cpp _check_gesvdj_convergence",
        kind=SyncKind.COPY_TO_HOST,
        confidence=Confidence.SOURCE,
    ),
    Rule(
        name="normal with a tensor of deviations",
        operations=("aten.normal.float_Tensor", "aten.normal.Tensor_Tensor"),
        syncs=on.once_on_device("std"),
        source="native/DistributionTemplates.h; an assertion on the device since",
        until="2.14",
    ),
    Rule(
        name="end point on the device",
        operations=("aten.linspace", "aten.logspace"),
        syncs=on.once_for_each_on_device("start", "end"),
        source="native/RangeFactories.cpp",
    ),
    Rule(
        name="ctc_loss with lengths on the device",
        operations=("aten._ctc_loss.Tensor",),
        syncs=on.once_for_each_on_device("input_lengths", "target_lengths"),
        source="native/LossCTC.cpp",
        kind=SyncKind.COPY_TO_HOST,
        confidence=Confidence.SOURCE,
    ),
    Rule(
        name="ctc_loss",
        operations=("aten._ctc_loss",),
        syncs=on.three_times,
        source="native/cuda/LossCTC.cu ctc_loss_gpu_template: lengths and offsets of the batch",
        kind=SyncKind.COPY_FROM_HOST,
        confidence=Confidence.OBSERVED,
    ),
    Rule(
        name="cross_entropy with weights and label smoothing",
        operations=("aten.cross_entropy_loss",),
        syncs=on.weighted_smooth_mean,
        source="native/LossNLL.cpp masked_select",
    ),
)

_SIZES = (
    Rule(
        name="nonzero",
        operations=("aten.nonzero",),
        syncs=on.once,
        source="native/cuda/Nonzero.cu",
    ),
    Rule(
        name="masked_select",
        operations=("aten.masked_select",),
        syncs=on.once_on_device("mask"),
        source="native/cuda/IndexKernel.cpp",
    ),
    Rule(
        name="unique",
        operations=("aten._unique2", "aten._unique"),
        syncs=on.once_unless_empty,
        source="native/cuda/UniqueCub.cu",
    ),
    Rule(
        name="unique_consecutive",
        operations=("aten.unique_consecutive",),
        syncs=on.unique_flattened,
        source="native/cuda/UniqueCub.cu",
    ),
    Rule(
        name="unique along a dimension",
        operations=("aten.unique_dim",),
        syncs=on.unique_dim,
        source="native/cuda/Unique.cu (synchronizes inside Thrust)",
        is_reported=False,
    ),
    Rule(
        name="unique_consecutive along a dimension",
        operations=("aten.unique_consecutive", "aten.unique_dim_consecutive"),
        syncs=on.unique_consecutive_dim,
        source="native/cuda/Unique.cu (synchronizes inside Thrust)",
        is_reported=False,
    ),
    Rule(
        name="bincount",
        operations=("aten.bincount",),
        syncs=on.bincount,
        source="native/cuda/SummaryOps.cu",
    ),
    Rule(
        name="histc without a range",
        operations=("aten.histc",),
        syncs=on.histc_without_range,
        source="native/cuda/SummaryOps.cu",
    ),
    Rule(
        name="repeat_interleave without output_size",
        operations=("aten.repeat_interleave.Tensor",),
        syncs=on.repeat_interleave,
        source="native/Repeat.h",
    ),
    Rule(
        name="isin that sorts",
        operations=("aten.isin.Tensor_Tensor",),
        syncs=on.isin,
        source="native/TensorCompare.cpp",
    ),
    Rule(
        name="mode of long slices",
        operations=("aten.mode",),
        syncs=on.mode,
        source="native/cuda/TensorModeKernel.cu (synchronizes inside Thrust)",
        is_reported=False,
        confidence=Confidence.OBSERVED,
    ),
    Rule(
        name="mode of long slices of bool",
        operations=("aten.mode",),
        syncs=on.mode_of_bool,
        source="native/cuda/TensorModeKernel.cpp",
        confidence=Confidence.OBSERVED,
    ),
    Rule(
        name="searchsorted with a sorter",
        operations=("aten.searchsorted",),
        syncs=on.searchsorted,
        source="native/BucketizationUtils.h",
    ),
    Rule(
        name="segment_reduce with lengths",
        operations=("aten.segment_reduce",),
        syncs=on.segment_reduce,
        source="native/SegmentReduce.cpp",
    ),
)

_INDEXING = (
    Rule(
        name="mask as an index",
        operations=_INDEX,
        syncs=on.masks,
        source="native/IndexingUtils.h expandTensors",
    ),
    Rule(
        name="positions on the host as an index",
        operations=(*_INDEX, *_PUT),
        syncs=on.positions_on_host,
        source="native/IndexingUtils.h expandTensors",
        kind=SyncKind.COPY_FROM_HOST,
        confidence=Confidence.SOURCE,
    ),
    Rule(
        name="written through a mask",
        operations=_PUT,
        syncs=on.masks_written_through,
        source="native/TensorAdvancedIndexingUtils.h canDispatchToMaskedFill",
    ),
    Rule(
        name="number written through positions",
        operations=_PUT,
        syncs=on.number_written_through,
        source="native/TensorAdvancedIndexing.cpp _index_put_impl_; gone after PyTorch PR 188330",
        kind=SyncKind.COPY_FROM_HOST,
    ),
    Rule(
        name="index_fill with a value on the device",
        operations=("aten.index_fill.int_Tensor", "aten.index_fill_.int_Tensor"),
        syncs=on.once_on_device("value"),
        source="native/TensorAdvancedIndexing.cpp",
    ),
    Rule(
        name="masked_fill with a value on the device",
        operations=("aten.masked_fill.Tensor", "aten.masked_fill_.Tensor"),
        syncs=on.once_on_device("value"),
        source="native/cuda/Indexing.cu masked_fill__cuda",
    ),
    Rule(
        name="host tensor filled from the device",
        operations=("aten.fill_.Tensor",),
        syncs=on.host_filled_from_device,
        source="native/Fill.cpp",
    ),
    Rule(
        name="where with a host scalar",
        operations=("aten.where.self",),
        syncs=on.where_on_host,
        source="native/TensorCompare.cpp where_self_out",
        kind=SyncKind.COPY_FROM_HOST,
        confidence=Confidence.SOURCE,
    ),
)

_EXPLICIT = (
    Rule(
        name="synchronize",
        operations=("torch.cuda.synchronize", "torch.accelerator.synchronize", "torch.privateuseone.synchronize"),
        syncs=on.once,
        source="c10::cuda::device_synchronize",
        kind=SyncKind.EXPLICIT,
        is_reported=False,
    ),
    Rule(
        name="release of cached memory",
        operations=("torch.cuda.empty_cache",),
        syncs=on.once,
        source="c10/cuda/CUDACachingAllocator.cpp release_cached_blocks (cudaFree)",
        kind=SyncKind.EXPLICIT,
        is_reported=False,
        confidence=Confidence.DOCUMENTED,
    ),
    Rule(
        name="synchronize a stream",
        operations=("torch.cuda.Stream.synchronize",),
        syncs=on.once,
        source="c10::cuda::CUDAStream::synchronize",
        kind=SyncKind.EXPLICIT,
    ),
    Rule(
        name="synchronize an event",
        operations=("torch.cuda.Event.synchronize",),
        syncs=on.once,
        source="at::cuda::CUDAEvent::synchronize",
        kind=SyncKind.EXPLICIT,
        is_reported=False,
        confidence=Confidence.DOCUMENTED,
    ),
)

RULES: tuple[Rule, ...] = (*_COPIES, *_READS, *_SIZES, *_INDEXING, *_EXPLICIT)


@functools.cache
def rules_for(name: str) -> tuple[Rule, ...]:
    """Return the rows for an overload such as `aten.index.Tensor`, or for a Python function, under this torch."""
    packet = name.rsplit(".", 1)[0]
    return tuple(rule for rule in applicable_rules() if name in rule.operations or packet in rule.operations)


@functools.cache
def has_rows(name: str) -> bool:
    """Return whether there are rows for an overload, be it for another torch."""
    return any(name in rule.operations or name.rsplit(".", 1)[0] in rule.operations for rule in RULES)


@functools.cache
def applicable_rules() -> tuple[Rule, ...]:
    """Return the rows that apply to this version of torch."""
    return tuple(rule for rule in RULES if rule.applies_to(str(torch.__version__)))
