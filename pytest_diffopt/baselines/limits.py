"""The limits of a baseline: one number per figure; a larger limit guards less."""

from functools import singledispatch

from pytest_diffopt.baselines.documents import (
    Baseline,
    CompileBaseline,
    CountBaseline,
    KernelBaseline,
    LatencyBaseline,
    MemoryBaseline,
)
from pytest_diffopt.baselines.figures import figures_of
from pytest_diffopt.baselines.image_document import ImageBaseline
from pytest_diffopt.statistics.intervals import median


@singledispatch
def limits(document: Baseline) -> dict[str, float]:
    """Return the largest values that a document allows, by figure; the names contain the units.

    An unknown kind of document has no limits, so no change of it is found to be looser.
    """
    del document
    return {}


@limits.register
def _latency(document: LatencyBaseline) -> dict[str, float]:
    accepted = median([median(session.samples_ns) for session in document.sessions])
    return {"latency_ns": accepted + max(accepted * document.margin, document.floor_ns)}


@limits.register
def _memory(document: MemoryBaseline) -> dict[str, float]:
    peaks = {
        "peak_allocated_bytes": document.peak_allocated_bytes,
        "peak_reserved_bytes": document.peak_reserved_bytes,
    }
    return {
        name: peak + max(peak * document.margin, document.floor_bytes)
        for name, peak in peaks.items()
        if peak is not None
    }


@limits.register
def _counts(document: CountBaseline) -> dict[str, float]:
    figures = {
        f"{phase}: {name}": float(value)
        for phase, counts in document.phases.items()
        for name, value in figures_of(counts).items()
    }
    return figures | {"operations that are not counted": float(len(document.unmodelled))}


@limits.register
def _kernels(document: KernelBaseline) -> dict[str, float]:
    # More launches in CUDA graphs are no loss: the launches outside of them and the sum of both are the limits.
    figures = {
        f"{phase}: {name}": float(value)
        for phase, accepted in document.phases.items()
        for name, value in accepted.as_record(phase).sums().items()
        if name not in {"launches in graphs", "graph launches"}
    }
    return figures | {"calls that are not modelled": float(len(document.unmodelled))}


@limits.register
def _compilation(document: CompileBaseline) -> dict[str, float]:
    # The number of operators is not a limit: fewer breaks capture more operators, and better code has fewer.
    return {
        f"{region}: {name}": float(value)
        for region, counts in document.regions.items()
        for name, value in figures_of(counts).items()
        if name not in {"operations", "reused_buffers"}
    }


@limits.register
def _images(document: ImageBaseline) -> dict[str, float]:
    # Smaller values of SSIM and PSNR are worse, so the limit is the allowed loss.
    thresholds = document.thresholds
    figures = {
        "loss of SSIM": 1 - thresholds.ssim,
        "dB of PSNR below 100": 100 - thresholds.psnr_db,
        "largest error": thresholds.max_error,
        "mean error": thresholds.mean_error,
        "FLIP": thresholds.flip,
        "latents off": thresholds.latent_error,
    }
    others = {
        "flicker": thresholds.flicker,
        "audio off": thresholds.audio_error,
        "spectrum off": thresholds.spectral_distance,
    }
    return figures | {name: limit for name, limit in others.items() if limit is not None}
