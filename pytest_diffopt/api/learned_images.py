"""The document that `image_baseline` accepts: stored images, and thresholds learned from many calls."""

from collections.abc import Sequence

import numpy as np

from pytest_diffopt.baselines.documents import provenance
from pytest_diffopt.baselines.image_document import ImageBaseline, ImageFigures, ImageSample
from pytest_diffopt.baselines.image_files import StoredFiles
from pytest_diffopt.errors import BaselineError
from pytest_diffopt.guards.images import worst_figures
from pytest_diffopt.guards.learned_thresholds import learned, two_valued
from pytest_diffopt.probes.image_samples import ComparedSample, stored_latents, uint8_images
from pytest_diffopt.records import Environment, ImageRecord, Subject

_LARGEST_PSNR_DB = 100.0


def learned_document(  # noqa: PLR0913 - each is a figure of the file
    compared: Sequence[ComparedSample],
    files: StoredFiles,
    *,
    case: str,
    subject: Subject,
    environment: Environment,
    margin: float,
    reason: str,
) -> ImageBaseline:
    """Write the images and latents of the first sample and return the document with the learned thresholds.

    Args:
        compared: calls of the pipeline beside those of its reference; the first is the test's own call.
        files: where images and latents are written.
        case: the test that owns the baseline.
        subject: what was measured.
        environment: the machine and its versions.
        margin: how much worse than the worst sample an image may be, as a fraction.
        reason: why the baseline is right.

    Raises:
        BaselineError: an image has a defect whatever it is compared with, or the images are two-valued.
    """
    samples = tuple(ImageSample(call=one.call, figures=_figures(one.record)) for one in compared)
    _refuse_defects(compared)
    _refuse_two_valued(samples)
    reference = compared[0].reference
    latents = stored_latents(reference)
    return ImageBaseline(
        **provenance(subject, case=case, environment=environment, reason=reason),
        images=tuple(files.write_image(*numbered) for numbered in enumerate(uint8_images(reference))),
        latents=files.write_latents(latents) if latents else None,
        thresholds=learned(samples, margin=margin),
        margin=margin,
        samples=samples,
        frames_per_video=reference.frames_per_video,
        audio=files.write_audio(reference.audio.samples.astype(np.float32)) if reference.audio else None,
        sampling_rate_hz=reference.audio.rate_hz if reference.audio else 0,
    )


def remove_replaced_files(files: StoredFiles, before: ImageBaseline | None, after: ImageBaseline) -> None:
    """Remove the files of the document before that the document after does not name."""
    kept = {file.name for file in after.files}
    for file in before.files if before else ():
        if file.name not in kept:
            files.remove(file)


def _figures(record: ImageRecord) -> ImageFigures:
    figures = worst_figures(record)
    return ImageFigures(
        ssim=figures.get("ssim", 1.0),
        psnr_db=min(figures.get("psnr_db", _LARGEST_PSNR_DB), _LARGEST_PSNR_DB),
        max_error=figures.get("max_error", 0.0),
        mean_error=figures.get("mean_error", 0.0),
        flip=figures.get("flip", 0.0),
        latent_error=figures.get("latent_error", 0.0),
        flicker=figures.get("flicker"),
        audio_error=10 ** (-figures["audio_snr_db"] / 20) if record.audio else None,
        spectral_distance=figures.get("spectral_distance"),
    )


def _refuse_defects(compared: Sequence[ComparedSample]) -> None:
    """Refuse to accept what is wrong whatever it is compared with."""
    for sample in compared:
        record = sample.record
        parts = (record.differences, record.latents, record.audio)
        for defect in (defect for part in parts for one in part for defect in one.defects):
            msg = f"these images cannot be accepted: in {sample.call}, {defect}"
            raise BaselineError(msg)


def _refuse_two_valued(samples: tuple[ImageSample, ...]) -> None:
    found = two_valued(samples)
    if found:
        msg = (
            "these images are two-valued, and a threshold that lets both kinds pass would guard nothing\n"
            f"  SSIM {found.close_ssim:.4f} or more: {', '.join(found.close)}\n"
            f"  SSIM {found.far_ssim:.4f} or less: {', '.join(found.far)}\n"
            "  test a call that is less sensitive to rounding (another seed, more steps, less guidance), or compare "
            "with assert_same_images(..., thresholds=...)"
        )
        raise BaselineError(msg)
