"""Example documents and keys for tests."""

from pytest_diffopt.baselines.documents import (
    AcceptedEnvironment,
    AcceptedSubject,
    CompileBaseline,
    CountBaseline,
    KernelBaseline,
    LatencyBaseline,
    LatencySession,
    MemoryBaseline,
)
from pytest_diffopt.baselines.figures import KernelFigures, PhaseFigures, RegionFigures
from pytest_diffopt.baselines.image_document import ImageBaseline, ImageFigures, ImageSample, StoredFile
from pytest_diffopt.baselines.key import BaselineKey
from pytest_diffopt.records import Device, Weights

KEY = BaselineKey(device_slug="nvidia-h200", suite="test_sdxl", case="test_latency[sdxl-bf16+sdpa]", scale="tiny")
SUBJECT = AcceptedSubject(
    pipeline="sdxl", scale="tiny", recipe="bf16 + sdpa", weights=Weights.RANDOM, device=Device.CUDA
)
ENVIRONMENT = AcceptedEnvironment(device_name="NVIDIA H200", versions={"torch": "2.13.0", "diffusers": "0.36.0"})


def latency(*samples_ns: int, case: str = KEY.case) -> LatencyBaseline:
    """Return a latency baseline of one session with these samples."""
    return LatencyBaseline(
        case=case,
        subject=SUBJECT,
        environment=ENVIRONMENT,
        reason="first accepted",
        num_steps=4,
        sessions=(LatencySession(samples_ns=samples_ns or (1200, 1100, 1150)),),
        margin=0.05,
        floor_ns=100,
        counts=None,
    )


def memory() -> MemoryBaseline:
    """Return a memory baseline."""
    return MemoryBaseline(
        case=KEY.case,
        subject=SUBJECT,
        environment=ENVIRONMENT,
        reason="first accepted",
        peak_allocated_bytes=1 << 20,
        peak_reserved_bytes=None,
        seen_by="the simulated GPU",
        margin=0.01,
        floor_bytes=1024,
    )


def counts(*, operations: int = 7, phase: str = "step 1", unmodelled: tuple[str, ...] = ()) -> CountBaseline:
    """Return a count baseline of one phase."""
    figures = PhaseFigures(
        flops=10, operations=operations, bytes_to_device=0, bytes_to_host=0, allocated_bytes=0, peak_memory_bytes=5
    )
    return CountBaseline(
        case=KEY.case,
        subject=SUBJECT,
        environment=ENVIRONMENT,
        reason="first accepted",
        gpu_model="nvidia-h200",
        num_steps=1,
        phases={phase: figures},
        modules={},
        attention={},
        unmodelled=unmodelled,
    )


def kernels(*, launched: int = 7) -> KernelBaseline:
    """Return a kernel baseline of one step, launched by one CUDA graph."""
    figures = KernelFigures(
        kernels={"triton_poi_fused_mul": launched},
        library_calls={"cublasLtMatmul m=1 n=2 k=3 batch=1": 2},
        graph_launches=1,
        launches_in_graphs=launched + 2,
        copies={"host to device": 1},
        copied_bytes={"host to device": 8},
        fills=0,
        filled_bytes=0,
        allocations={},
        peak_allocated_bytes=512,
        peak_reserved_bytes=2 << 20,
    )
    return KernelBaseline(
        case=KEY.case,
        subject=SUBJECT,
        environment=ENVIRONMENT,
        reason="first accepted",
        num_steps=1,
        phases={"step 0": figures},
        unmodelled=(),
    )


def compiled(*, breaks: int = 0, region: str = "UNet.forward") -> CompileBaseline:
    """Return a compile baseline of one function."""
    figures = RegionFigures(
        graphs=1,
        breaks=breaks,
        recompiles=0,
        operations=80,
        guards=9,
        symbolic_sizes=0,
        generated_kernels=8,
        external_calls=6,
        fallbacks=1,
        reused_buffers=4,
    )
    return CompileBaseline(
        case=KEY.case, subject=SUBJECT, environment=ENVIRONMENT, reason="first accepted", regions={region: figures}
    )


def images(**thresholds: float) -> ImageBaseline:
    """Return an image baseline of one image with these thresholds."""
    defaults = {"ssim": 0.98, "psnr_db": 40.0, "max_error": 0.2, "mean_error": 0.01, "flip": 0.05, "latent_error": 0.03}
    figures = ImageFigures(**(defaults | thresholds))
    return ImageBaseline(
        case=KEY.case,
        subject=SUBJECT,
        environment=ENVIRONMENT,
        reason="first accepted",
        images=(StoredFile(name="test_latency[sdxl-bf16+sdpa].tiny.0-00000000.png", sha256="0" * 64, size_bytes=1),),
        latents=None,
        thresholds=figures,
        margin=0.5,
        samples=(ImageSample(call="the test's own call", figures=figures),),
    )
