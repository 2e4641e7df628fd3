"""The simulated GPU: counts on any machine what a pipeline would do on a CUDA GPU."""

from pytest_diffopt.simulated_gpu.backend.streams import Event, Stream
from pytest_diffopt.simulated_gpu.cost.gpus import GPUModel, gpu_model_by_cuda_name, known_gpu_models
from pytest_diffopt.simulated_gpu.device import SimulatedGPU
from pytest_diffopt.simulated_gpu.observations import AttentionChoice, AttentionKernel, Counts, Sync, SyncKind

__all__ = [
    "AttentionChoice",
    "AttentionKernel",
    "Counts",
    "Event",
    "GPUModel",
    "SimulatedGPU",
    "Stream",
    "Sync",
    "SyncKind",
    "gpu_model_by_cuda_name",
    "known_gpu_models",
]
