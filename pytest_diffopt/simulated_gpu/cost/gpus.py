"""The GPU models that can be simulated: their compute capability, memory and peaks."""

from dataclasses import dataclass

from pytest_diffopt.errors import SimulationError
from pytest_diffopt.null_gpu.gpus import find_gpu

_GIB, _MIB = 2**30, 2**20


@dataclass(frozen=True, kw_only=True, slots=True)
class GPUModel:
    """A GPU model. Peaks are dense (without sparsity), in 10^12 operations per second, at the data sheet's clock.

    Those of float16 and bfloat16 accumulate in float32, as torch does by default.

    Attributes:
        name: the name on the command line and in counted baselines.
        cuda_names: CUDA's names of the GPUs with these figures; other variants (PCIe, another memory size) differ.
        capability: CUDA compute capability (major, minor).
        memory_bytes: the memory that CUDA reports, from the null GPU's table; nominal for a GPU that is not in it.
        l2_bytes: the L2 cache.
        float8_tflops: peak of 8-bit floating-point matrix products, with the faster accumulation where there are two;
            the float16 peak where tensor cores do not support them.
        int8_tops: peak of int8 matrix products; of a V100, whose tensor cores do not support them, four in each
            multiply-add of float32 (DP4A).
        float16_tflops: peak of float16 matrix products on tensor cores.
        bfloat16_tflops: peak of bfloat16 matrix products; the float32 peak where tensor cores do not support bfloat16.
        tf32_tflops: peak of TensorFloat-32 matrix products; the float32 peak where tensor cores do not support TF32.
        float32_tflops: peak of float32 without tensor cores.
        gigabytes_per_s: peak memory bandwidth, in 10^9 bytes per second.
        source: NVIDIA's document with these figures.
    """

    name: str
    cuda_names: tuple[str, ...]
    capability: tuple[int, int]
    memory_bytes: int
    l2_bytes: int
    float8_tflops: float
    int8_tops: float
    float16_tflops: float
    bfloat16_tflops: float
    tf32_tflops: float
    float32_tflops: float
    gigabytes_per_s: float
    source: str


# Where a data sheet lists only the peak with sparsity, half of it is the dense peak.
_GPU_MODELS = {
    gpu_model.name: gpu_model
    for gpu_model in (
        GPUModel(
            name="nvidia-v100",
            cuda_names=("Tesla V100-SXM2-16GB", "Tesla V100-SXM2-32GB", "Tesla V100-SXM3-32GB"),
            capability=(7, 0),
            memory_bytes=find_gpu("v100").memory_bytes,
            l2_bytes=find_gpu("v100").l2_bytes,
            float8_tflops=125.0,
            int8_tops=62.8,
            float16_tflops=125.0,
            bfloat16_tflops=15.7,
            tf32_tflops=15.7,
            float32_tflops=15.7,
            gigabytes_per_s=900.0,
            source="NVIDIA V100 Tensor Core GPU data sheet (SXM2, 32 GB)",
        ),
        GPUModel(
            name="nvidia-t4",
            cuda_names=("Tesla T4",),
            capability=(7, 5),
            memory_bytes=find_gpu("t4").memory_bytes,
            l2_bytes=find_gpu("t4").l2_bytes,
            float8_tflops=65.0,
            int8_tops=130.0,
            float16_tflops=65.0,
            bfloat16_tflops=8.1,
            tf32_tflops=8.1,
            float32_tflops=8.1,
            gigabytes_per_s=320.0,
            source="NVIDIA T4 product brief PB-09256",
        ),
        GPUModel(
            name="nvidia-a100",
            cuda_names=("NVIDIA A100-SXM4-80GB",),
            capability=(8, 0),
            memory_bytes=find_gpu("a100-80gb").memory_bytes,
            l2_bytes=find_gpu("a100-80gb").l2_bytes,
            float8_tflops=312.0,
            int8_tops=624.0,
            float16_tflops=312.0,
            bfloat16_tflops=312.0,
            tf32_tflops=156.0,
            float32_tflops=19.5,
            gigabytes_per_s=2039.0,
            source="NVIDIA A100 Tensor Core GPU data sheet (SXM, 80 GB)",
        ),
        GPUModel(
            name="nvidia-a10",
            cuda_names=("NVIDIA A10",),
            capability=(8, 6),
            memory_bytes=24 * _GIB,
            l2_bytes=6 * _MIB,
            float8_tflops=125.0,
            int8_tops=250.0,
            float16_tflops=125.0,
            bfloat16_tflops=125.0,
            tf32_tflops=62.5,
            float32_tflops=31.2,
            gigabytes_per_s=600.0,
            source="NVIDIA A10 Tensor Core GPU data sheet",
        ),
        GPUModel(
            name="nvidia-rtx-3090",
            cuda_names=("NVIDIA GeForce RTX 3090",),
            capability=(8, 6),
            memory_bytes=24 * _GIB,
            l2_bytes=6 * _MIB,
            float8_tflops=71.0,
            int8_tops=284.0,
            float16_tflops=71.0,
            bfloat16_tflops=71.0,
            tf32_tflops=35.6,
            float32_tflops=35.6,
            gigabytes_per_s=936.0,
            source="NVIDIA Ampere GA102 GPU Architecture whitepaper, appendix A",
        ),
        GPUModel(
            name="nvidia-rtx-4090",
            cuda_names=("NVIDIA GeForce RTX 4090",),
            capability=(8, 9),
            memory_bytes=find_gpu("rtx-4090").memory_bytes,
            l2_bytes=find_gpu("rtx-4090").l2_bytes,
            float8_tflops=660.6,
            int8_tops=660.6,
            float16_tflops=165.2,
            bfloat16_tflops=165.2,
            tf32_tflops=82.6,
            float32_tflops=82.6,
            gigabytes_per_s=1008.0,
            source="NVIDIA Ada GPU Architecture whitepaper, appendix A",
        ),
        GPUModel(
            name="nvidia-rtx-5090",
            cuda_names=("NVIDIA GeForce RTX 5090",),
            capability=(12, 0),
            memory_bytes=find_gpu("rtx-5090").memory_bytes,
            l2_bytes=find_gpu("rtx-5090").l2_bytes,
            float8_tflops=838.0,
            int8_tops=838.0,
            float16_tflops=209.5,
            bfloat16_tflops=209.5,
            tf32_tflops=104.8,
            float32_tflops=104.8,
            gigabytes_per_s=1792.0,
            source="NVIDIA RTX Blackwell GPU Architecture whitepaper, appendix A",
        ),
        GPUModel(
            name="nvidia-l4",
            cuda_names=("NVIDIA L4",),
            capability=(8, 9),
            memory_bytes=find_gpu("l4").memory_bytes,
            l2_bytes=find_gpu("l4").l2_bytes,
            float8_tflops=242.5,
            int8_tops=242.5,
            float16_tflops=121.0,
            bfloat16_tflops=121.0,
            tf32_tflops=60.0,
            float32_tflops=30.3,
            gigabytes_per_s=300.0,
            source="NVIDIA L4 Tensor Core GPU data sheet",
        ),
        GPUModel(
            name="nvidia-l40s",
            cuda_names=("NVIDIA L40S",),
            capability=(8, 9),
            memory_bytes=find_gpu("l40s").memory_bytes,
            l2_bytes=find_gpu("l40s").l2_bytes,
            float8_tflops=733.0,
            int8_tops=733.0,
            float16_tflops=362.0,
            bfloat16_tflops=362.0,
            tf32_tflops=183.0,
            float32_tflops=91.6,
            gigabytes_per_s=864.0,
            source="NVIDIA L40S data sheet",
        ),
        GPUModel(
            name="nvidia-h100",
            cuda_names=("NVIDIA H100 80GB HBM3",),
            capability=(9, 0),
            memory_bytes=find_gpu("h100").memory_bytes,
            l2_bytes=find_gpu("h100").l2_bytes,
            float8_tflops=1978.9,
            int8_tops=1978.9,
            float16_tflops=989.4,
            bfloat16_tflops=989.4,
            tf32_tflops=494.7,
            float32_tflops=66.9,
            gigabytes_per_s=3350.0,
            source="NVIDIA H100 Tensor Core GPU Architecture whitepaper, table 2, and data sheet (SXM5, 80 GB)",
        ),
        GPUModel(
            name="nvidia-h200",
            cuda_names=("NVIDIA H200",),
            capability=(9, 0),
            memory_bytes=find_gpu("h200").memory_bytes,
            l2_bytes=find_gpu("h200").l2_bytes,
            float8_tflops=1978.9,
            int8_tops=1978.9,
            float16_tflops=989.4,
            bfloat16_tflops=989.4,
            tf32_tflops=494.7,
            float32_tflops=66.9,
            gigabytes_per_s=4800.0,
            source="NVIDIA H200 Tensor Core GPU data sheet (SXM); its peaks are the H100's, with more digits",
        ),
        GPUModel(
            name="nvidia-b200",
            cuda_names=("NVIDIA B200",),
            capability=(10, 0),
            memory_bytes=find_gpu("b200").memory_bytes,
            l2_bytes=find_gpu("b200").l2_bytes,
            float8_tflops=4500.0,
            int8_tops=4500.0,
            float16_tflops=2250.0,
            bfloat16_tflops=2250.0,
            tf32_tflops=1100.0,
            float32_tflops=80.0,
            gigabytes_per_s=8000.0,
            source="NVIDIA Blackwell Architecture Technical Brief (HGX B200, 1000 W) and DGX B200 data sheet (memory)",
        ),
    )
}


def known_gpu_models() -> tuple[str, ...]:
    """Return the names of all GPU models."""
    return tuple(_GPU_MODELS)


def gpu_model(name: str) -> GPUModel:
    """Return a GPU model by its name.

    Raises:
        SimulationError: there is no model of that name.
    """
    if name not in _GPU_MODELS:
        message = f"a simulated GPU must be one of {', '.join(_GPU_MODELS)}, got: {name!r}"
        raise SimulationError(message)
    return _GPU_MODELS[name]


def gpu_model_by_cuda_name(device_name: str) -> GPUModel | None:
    """Return the GPU model by CUDA's name of the device; None if its figures are not known."""
    return next((one for one in _GPU_MODELS.values() if device_name in one.cuda_names), None)


_HOPPER = (9, 0)
_LARGE_WORKSPACE, _WORKSPACE = 32 * _MIB, 8 * _MIB + 128 * 1024


def cublas_workspace_bytes(gpu: GPUModel) -> int:
    """Return the workspace that torch gives cuBLAS by default: `cuda/CublasHandlePool.cpp getChosenWorkspaceSize`."""
    return _LARGE_WORKSPACE if gpu.capability >= _HOPPER else _WORKSPACE
