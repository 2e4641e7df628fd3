"""The sync table: which operations synchronize on CUDA, under which conditions, how often, and the source of each rule.

The rules are never inferred from what torch does on the simulated device, because its C++ code branches on "is this
CUDA" in many places. An operation without a row never synchronizes. Sources are files of PyTorch 2.13 below
`aten/src/ATen/`; no row has been observed on a GPU yet (`confirmed_on` is empty).
"""

import functools

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
    Rule(name="equal", operations=("aten.equal",), syncs=on.equal, source="native/cuda/Equal.cpp"),
    Rule(name="allclose", operations=("aten.allclose",), syncs=on.once, source="native/TensorCompare.cpp"),
    Rule(
        name="linalg check",
        operations=("aten._linalg_check_errors",),
        syncs=on.once_on_device("info"),
        source="native/BatchLinearAlgebra.cpp",
    ),
    Rule(
        name="linalg check inside the kernel",
        operations=("aten._linalg_svd", "aten._linalg_eigh", "aten.linalg_eig"),
        syncs=on.once,
        source="native/BatchLinearAlgebra.cpp _linalg_check_errors",
        confidence=Confidence.INFERRED,
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
        source="native/DistributionTemplates.h",
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
        name="cross_entropy with weights and label smoothing",
        operations=("aten.cross_entropy_loss",),
        syncs=on.weighted_smooth_mean,
        source="native/LossNLL.cpp masked_select",
    ),
)

_SIZES = (
    Rule(name="nonzero", operations=("aten.nonzero",), syncs=on.once, source="native/cuda/Nonzero.cu"),
    Rule(
        name="masked_select",
        operations=("aten.masked_select",),
        syncs=on.once_on_device("mask"),
        source="native/cuda/IndexKernel.cpp",
    ),
    Rule(
        name="unique",
        operations=("aten._unique2", "aten._unique", "aten.unique_consecutive"),
        syncs=on.once_unless_empty,
        source="native/cuda/UniqueCub.cu",
    ),
    Rule(
        name="unique along a dimension",
        operations=("aten.unique_dim", "aten.unique_dim_consecutive"),
        syncs=on.once,
        source="native/cuda/Unique.cu (synchronizes inside Thrust)",
        is_reported=False,
    ),
    Rule(name="bincount", operations=("aten.bincount",), syncs=on.bincount, source="native/cuda/SummaryOps.cu"),
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
        source="native/cuda/TensorModeKernel.cu",
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
    """Return the rows for an overload such as `aten.index.Tensor`, or for a Python function."""
    packet = name.rsplit(".", 1)[0]
    return tuple(rule for rule in RULES if name in rule.operations or packet in rule.operations)
