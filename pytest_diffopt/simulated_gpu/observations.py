"""Records of a simulated GPU: syncs, counts and attention kernels."""

import enum
from collections import Counter
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field

from pytest_diffopt.records.code_location import CodeLocation

_SHOWN_AS = {
    "aten._local_scalar_dense": ".item()",
    "aten._to_copy": ".to()",
    "aten.copy_": ".copy_()",
    "aten.nonzero": "nonzero()",
    "aten.index": "x[mask]",
    "aten.index_put_": "x[mask] = ...",
    "Tensor.tolist": ".tolist()",
    "Tensor.__repr__": "print()",
}
_COPIES = frozenset({"aten.copy_", "aten._to_copy"})
_CALLS_THAT_COPY = (".to", ".cuda", ".cpu", "torch.tensor", "torch.as_tensor")


class SyncKind(enum.Enum):
    """Why the CPU blocks on the GPU."""

    READ = "read by the host"
    COPY_FROM_HOST = "copy from the host"
    COPY_TO_HOST = "copy to the host"
    EXPLICIT = "explicit synchronization"


@dataclass(frozen=True, kw_only=True, slots=True)
class Sync:
    """One host-device synchronization that a CUDA GPU would make.

    Attributes:
        kind: why the CPU blocks.
        operation: torch's name of the operation that synchronizes (`aten._local_scalar_dense`).
        where: the innermost line of the user's code.
        phase: the phase set by `SimulatedGPU.enter_phase`; None outside every phase.
        module: the innermost running module: its path if modules were named, else its class; empty outside modules.
        is_reported: whether `torch.cuda.set_sync_debug_mode` would report it on a real GPU.
        is_offload: whether an offload hook moves weights: accelerate's hooks, or diffusers' group offloading.
    """

    kind: SyncKind
    operation: str
    where: CodeLocation
    phase: Hashable | None
    module: str
    is_reported: bool
    is_offload: bool = False

    @property
    def shown_as(self) -> str:
        """The operation as it is written in Python: `.item()` for `aten._local_scalar_dense`.

        Every copy is `copy_` to torch; the source line shows which call made it.
        """
        if self.operation in _COPIES:
            written = next((call for call in _CALLS_THAT_COPY if call + "(" in self.where.source), "")
            if written:
                return written + "()"
        return _SHOWN_AS.get(self.operation, self.operation.removeprefix("aten."))


@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """Counted work and memory; exact and repeatable.

    Attributes:
        flops: floating-point operations of matrix products, convolutions and attention (a multiply-add is two).
        least_flops: those that no kernel can leave out, by the dtype of their operands, such as `bfloat16`.
        operations: operations that launch work on the GPU; views and copies over the bus are not counted.
        launches: kernels and library calls of these operations, as the null GPU counted them (`cost/launches.py`).
        bytes_to_device: bytes copied over the bus to the GPU.
        bytes_to_host: bytes copied over the bus to the host.
        allocated_bytes: sum of all allocations, each rounded up as by CUDA's caching allocator.
        least_written_bytes: what no kernel can avoid to write to the GPU's memory: of each result of an operation what
            the L2 cache cannot hold; nothing in compiled code, which need not write the results of its operations.
        peak_memory_bytes: most bytes that were allocated at one moment.
    """

    flops: int = 0
    least_flops: Mapping[str, int] = field(default_factory=dict, hash=False)
    operations: int = 0
    launches: int = 0
    bytes_to_device: int = 0
    bytes_to_host: int = 0
    allocated_bytes: int = 0
    least_written_bytes: int = 0
    peak_memory_bytes: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        """Return the sum of two counts; the peak is the higher of the two."""
        return Counts(
            flops=self.flops + other.flops,
            least_flops=dict(sorted((Counter(self.least_flops) + Counter(other.least_flops)).items())),
            operations=self.operations + other.operations,
            launches=self.launches + other.launches,
            bytes_to_device=self.bytes_to_device + other.bytes_to_device,
            bytes_to_host=self.bytes_to_host + other.bytes_to_host,
            allocated_bytes=self.allocated_bytes + other.allocated_bytes,
            least_written_bytes=self.least_written_bytes + other.least_written_bytes,
            peak_memory_bytes=max(self.peak_memory_bytes, other.peak_memory_bytes),
        )


class AttentionKernel(enum.Enum):
    """The kernels of `scaled_dot_product_attention` on CUDA."""

    FLASH = "flash"
    EFFICIENT = "efficient"
    CUDNN = "cudnn"
    MATH = "math"


@dataclass(frozen=True, kw_only=True, slots=True)
class AttentionChoice:
    """The kernel that CUDA would run for attention calls of one signature.

    Attributes:
        kernel: the kernel.
        query_shape: (batch, heads, length, head dimension) of the query.
        key_shape: (batch, heads, length, head dimension) of the key.
        dtype: the query's dtype, such as `float16`.
        has_mask: whether there is a mask.
        count: number of calls with this signature.
        reason: why no faster kernel was chosen; empty if the fastest was.
    """

    kernel: AttentionKernel
    query_shape: tuple[int, ...]
    key_shape: tuple[int, ...]
    dtype: str
    has_mask: bool
    count: int
    reason: str
