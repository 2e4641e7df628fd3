"""The GPUs that the null GPU can report itself as."""

from dataclasses import dataclass

from pytest_diffopt.errors import did_you_mean
from pytest_diffopt.null_gpu.errors import NullGpuError

DEFAULT_GPU = "h200"
MAX_DEVICES = 8

_KIB = 2**10
_MIB = 2**20


@dataclass(frozen=True, kw_only=True, slots=True)
class Gpu:
    """What a GPU reports of itself.

    Attributes:
        key: the name on the command line.
        name: the name that CUDA reports.
        capability: the compute capability (major, minor).
        multiprocessors: the number of streaming multiprocessors.
        shared_bytes_per_block: the most shared memory of a block that opts in.
        shared_bytes_per_multiprocessor: the shared memory of a multiprocessor.
        threads_per_multiprocessor: the most resident threads of a multiprocessor.
        blocks_per_multiprocessor: the most resident blocks of a multiprocessor.
        l2_bytes: the L2 cache.
        memory_bytes: the memory that CUDA reports, which is less than the nominal size.
        memory_bus_bits: the width of the memory bus.
        clock_khz: the maximum SM clock.
        memory_clock_khz: the memory clock.
    """

    key: str
    name: str
    capability: tuple[int, int]
    multiprocessors: int
    shared_bytes_per_block: int
    shared_bytes_per_multiprocessor: int
    threads_per_multiprocessor: int
    blocks_per_multiprocessor: int
    l2_bytes: int
    memory_bytes: int
    memory_bus_bits: int
    clock_khz: int
    memory_clock_khz: int


@dataclass(frozen=True, kw_only=True, slots=True)
class _Limits:
    shared_kib_per_block: int
    shared_kib_per_multiprocessor: int
    threads: int
    blocks: int


# NVIDIA's own table: libcudacxx/include/cuda/__device/arch_traits.h in NVIDIA/cccl (004ad19). A block that opts in has
# all but the 1 KiB that the driver reserves from compute capability 8.0 on.
_LIMITS = {
    (7, 0): _Limits(shared_kib_per_block=96, shared_kib_per_multiprocessor=96, threads=2048, blocks=32),
    (7, 5): _Limits(shared_kib_per_block=64, shared_kib_per_multiprocessor=64, threads=1024, blocks=16),
    (8, 0): _Limits(shared_kib_per_block=163, shared_kib_per_multiprocessor=164, threads=2048, blocks=32),
    (8, 9): _Limits(shared_kib_per_block=99, shared_kib_per_multiprocessor=100, threads=1536, blocks=24),
    (9, 0): _Limits(shared_kib_per_block=227, shared_kib_per_multiprocessor=228, threads=2048, blocks=32),
    (10, 0): _Limits(shared_kib_per_block=227, shared_kib_per_multiprocessor=228, threads=2048, blocks=32),
    (12, 0): _Limits(shared_kib_per_block=99, shared_kib_per_multiprocessor=100, threads=1536, blocks=24),
}


def _gpu(  # noqa: PLR0913 - one column of a table each
    key: str,
    name: str,
    capability: tuple[int, int],
    *,
    multiprocessors: int,
    l2_bytes: int,
    memory_bytes: int,
    bus_bits: int,
    clock_mhz: int,
    memory_clock_mhz: int,
) -> Gpu:
    limits = _LIMITS[capability]
    return Gpu(
        key=key,
        name=name,
        capability=capability,
        multiprocessors=multiprocessors,
        shared_bytes_per_block=limits.shared_kib_per_block * _KIB,
        shared_bytes_per_multiprocessor=limits.shared_kib_per_multiprocessor * _KIB,
        threads_per_multiprocessor=limits.threads,
        blocks_per_multiprocessor=limits.blocks,
        l2_bytes=l2_bytes,
        memory_bytes=memory_bytes,
        memory_bus_bits=bus_bits,
        clock_khz=clock_mhz * 1000,
        memory_clock_khz=memory_clock_mhz * 1000,
    )


# Bus and memory clock give the bandwidth of NVIDIA's data sheet, multiprocessors and clock the float32 peak: a test
# compares both with the figures and sources of `simulated_gpu/cost/gpus.py`. L2 cache: the architecture's whitepaper
# (Volta, Ampere, Hopper; Ada, appendix A) and the deviceQuery output that is named below. Memory: what deviceQuery or
# torch prints there. It depends on the driver by some ten MiB (H100: 81079 to 81106 MiB in published outputs), and so
# does the size at which memory is out.
_GPUS = {
    gpu.key: gpu
    for gpu in (
        # L2 and memory: torch's properties of the device on a rented H200, in its user's published notes
        _gpu(
            "h200",
            "NVIDIA H200",
            (9, 0),
            multiprocessors=132,
            l2_bytes=60 * _MIB,
            memory_bytes=143156 * _MIB,
            bus_bits=6144,
            clock_mhz=1980,
            memory_clock_mhz=3201,
        ),
        # memory: deviceQuery with driver 12.8 and runtime 12.5
        _gpu(
            "h100",
            "NVIDIA H100 80GB HBM3",
            (9, 0),
            multiprocessors=132,
            l2_bytes=50 * _MIB,
            memory_bytes=85028896768,
            bus_bits=5120,
            clock_mhz=1980,
            memory_clock_mhz=2619,
        ),
        # L2, bus, multiprocessors and memory: a device query in pytorch/ao pull request 4002
        _gpu(
            "b200",
            "NVIDIA B200",
            (10, 0),
            multiprocessors=148,
            l2_bytes=126 * _MIB + 512 * _KIB,
            memory_bytes=182630 * _MIB,
            bus_bits=7680,
            clock_mhz=1965,
            memory_clock_mhz=3996,
        ),
        # memory, L2, bus, clocks: deviceQuery with driver 12.2 and runtime 12.1
        _gpu(
            "a100-80gb",
            "NVIDIA A100-SXM4-80GB",
            (8, 0),
            multiprocessors=108,
            l2_bytes=40 * _MIB,
            memory_bytes=84987740160,
            bus_bits=5120,
            clock_mhz=1410,
            memory_clock_mhz=1593,
        ),
        # memory and clock: deviceQuery in bottlerocket-kernel-kit pull request 139
        _gpu(
            "l4",
            "NVIDIA L4",
            (8, 9),
            multiprocessors=58,
            l2_bytes=48 * _MIB,
            memory_bytes=23583784960,
            bus_bits=192,
            clock_mhz=2040,
            memory_clock_mhz=6251,
        ),
        # memory, L2, bus, clocks: the README of the crate cuda-device-query
        _gpu(
            "l40s",
            "NVIDIA L40S",
            (8, 9),
            multiprocessors=142,
            l2_bytes=96 * _MIB,
            memory_bytes=47576711168,
            bus_bits=384,
            clock_mhz=2520,
            memory_clock_mhz=9001,
        ),
        # clock, bus and L2: deviceQuery in bottlerocket-core-kit pull request 181
        _gpu(
            "t4",
            "Tesla T4",
            (7, 5),
            multiprocessors=40,
            l2_bytes=4 * _MIB,
            memory_bytes=15095 * _MIB,
            bus_bits=256,
            clock_mhz=1590,
            memory_clock_mhz=5001,
        ),
        # memory, L2, bus, clocks: deviceQuery in the CUDA exercises of INFN's school ESC (driver and runtime 11.2)
        _gpu(
            "v100",
            "Tesla V100-SXM2-32GB",
            (7, 0),
            multiprocessors=80,
            l2_bytes=6 * _MIB,
            memory_bytes=34089730048,
            bus_bits=4096,
            clock_mhz=1530,
            memory_clock_mhz=877,
        ),
        # memory: TensorRT's device report (24081 to 24207 MiB in published outputs); L2, bus, clocks: deviceQuery
        _gpu(
            "rtx-4090",
            "NVIDIA GeForce RTX 4090",
            (8, 9),
            multiprocessors=128,
            l2_bytes=72 * _MIB,
            memory_bytes=24207 * _MIB,
            bus_bits=384,
            clock_mhz=2520,
            memory_clock_mhz=10501,
        ),
        # memory, L2, clocks: deviceQuery in NVIDIA/nccl issue 1637
        _gpu(
            "rtx-5090",
            "NVIDIA GeForce RTX 5090",
            (12, 0),
            multiprocessors=170,
            l2_bytes=96 * _MIB,
            memory_bytes=33680457728,
            bus_bits=512,
            clock_mhz=2550,
            memory_clock_mhz=14001,
        ),
    )
}


def gpu_names() -> tuple[str, ...]:
    """Return the names of the GPUs, sorted."""
    return tuple(sorted(_GPUS))


def find_gpu(name: str) -> Gpu:
    """Return the GPU of a name; case and a leading `nvidia-` do not matter.

    Raises:
        NullGpuError: no GPU has that name.
    """
    key = name.lower().removeprefix("nvidia-")
    if key not in _GPUS:
        msg = f"unknown GPU {name!r}{did_you_mean(key, _GPUS)}; known: {', '.join(gpu_names())}"
        raise NullGpuError(msg)
    return _GPUS[key]


def find_gpu_by_name(name: str) -> Gpu | None:
    """Return the GPU that reports this name to CUDA, or None."""
    return next((gpu for gpu in _GPUS.values() if gpu.name == name), None)


def describe_for_library(gpu: Gpu, *, count: int) -> str:
    """Write the GPUs as the library reads them (csrc/device.c).

    Raises:
        NullGpuError: the number of devices is out of range.
    """
    if not 1 <= count <= MAX_DEVICES:
        msg = f"the number of devices must be 1 to {MAX_DEVICES}, got: {count}"
        raise NullGpuError(msg)
    major, minor = gpu.capability
    numbers = (
        count,
        major * 10 + minor,
        gpu.multiprocessors,
        gpu.shared_bytes_per_block,
        gpu.shared_bytes_per_multiprocessor,
        gpu.threads_per_multiprocessor,
        gpu.blocks_per_multiprocessor,
        gpu.l2_bytes,
        gpu.memory_bytes,
        gpu.memory_bus_bits,
        gpu.clock_khz,
        gpu.memory_clock_khz,
    )
    return ",".join((*map(str, numbers), gpu.name))
