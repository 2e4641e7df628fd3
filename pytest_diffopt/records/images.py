"""Differences between images, and between the latents of their denoise steps."""

import math
from dataclasses import dataclass

from pytest_diffopt.records.audio import AudioDifference
from pytest_diffopt.records.subject import Subject
from pytest_diffopt.records.videos import VideoDifference


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageFiles:
    """PNG files of one comparison, relative to the folder of the report or, without a report, to pytest's cache.

    Attributes:
        image: the generated image.
        reference: its reference.
        heat_map: FLIP of each pixel in the magma colormap; black where no difference is visible.
    """

    image: str
    reference: str
    heat_map: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageDifference:
    """Difference of one image from its reference; pixel values are in [0, 1].

    Attributes:
        ssim: structural similarity as published (Wang et al. 2004), 1 for equal images.
        psnr_db: peak signal-to-noise ratio in decibels; infinite for equal images.
        max_error: largest absolute difference of any pixel.
        mean_error: mean absolute difference.
        flip: LDR-FLIP (Andersson et al. 2020), mean over all pixels: the visible difference when flipping between both
            images on a 4K monitor at arm's length; 0 for equal images, at most 1.
        lpips: LPIPS with AlexNet (Zhang et al. 2018), the distance in the features of a network trained on photographs;
            0 for equal images. None when not requested.
        bias: mean signed difference; rounding has almost none.
        defects: defects of either image ("the image is black"); empty without a defect.
        files: PNG files of both; None when they are not kept.
    """

    ssim: float
    psnr_db: float
    max_error: float
    mean_error: float
    flip: float
    lpips: float | None = None
    bias: float = 0.0
    defects: tuple[str, ...] = ()
    files: ImageFiles | None = None

    @property
    def rms_error(self) -> float:
        """The root mean square of the difference, which the peak signal-to-noise ratio expresses in decibels."""
        return math.pow(10.0, -self.psnr_db / 20)


@dataclass(frozen=True, kw_only=True, slots=True)
class LatentDifference:
    """Difference of the latents of one image from their reference.

    Attributes:
        cosine: cosine similarity of both, 1 for the same direction.
        relative_error: norm of the difference, divided by the norm of the reference.
        max_error: largest absolute difference of any value.
        defects: defects of either ("the latents are constant: ..."); empty without a defect.
    """

    cosine: float
    relative_error: float
    max_error: float
    defects: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class StepDrift:
    """Difference of the latents from their reference after one denoise step; the worst image of a batch.

    Attributes:
        step: the step, from 0.
        cosine: cosine similarity of both, 1 for the same direction.
        relative_error: norm of the difference, divided by the norm of the reference.
    """

    step: int
    cosine: float
    relative_error: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ErrorSize:
    """Size of the difference of one image from its reference; pixel values are in [0, 1].

    Attributes:
        max_error: largest absolute difference of any pixel.
        rms_error: root mean square of the difference.
        bias: absolute mean of the difference.
    """

    max_error: float
    rms_error: float
    bias: float


@dataclass(frozen=True, kw_only=True, slots=True)
class RoundingNoise:
    """Error of the reference pipeline in the precision of the optimized one, measured with the same call.

    Of several samples each figure is the largest.

    Attributes:
        precision: the optimizations that give this precision (`bf16 + int8_dynamic`), or the dtypes (`bfloat16`).
        samples: number of calls.
        images: one entry per image; empty when the pipeline returned latents.
        step_errors: relative error of the latents after each denoise step.
        latent_errors: relative error of the returned latents, one per image; empty when it returned images.
        flicker: see `VideoDifference`, one per video.
        audio_errors: norm of the difference of each waveform, divided by that of the reference.
        spectral_distances: see `AudioDifference`, one per waveform.
    """

    precision: str
    samples: int
    images: tuple[ErrorSize, ...] = ()
    step_errors: tuple[float, ...] = ()
    latent_errors: tuple[float, ...] = ()
    flicker: tuple[float, ...] = ()
    audio_errors: tuple[float, ...] = ()
    spectral_distances: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ModuleDrift:
    """The first module, in the order in which calls return, whose output differs although its inputs agree.

    Attributes:
        module: path in the pipeline (`unet.down_blocks.0.attentions.1`).
        module_type: class of the module.
        step: the denoise step of the call, from 0; None outside the loop.
        relative_error: norm of the output's difference, divided by the norm of the reference pipeline's output.
        input_error: relative error of its inputs, defined in the same way.
    """

    module: str
    module_type: str
    step: int | None
    relative_error: float
    input_error: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageRecord:
    """A batch of images, or the frames of videos, each compared with its reference, in order.

    Attributes:
        subject: the pipeline that generated the images.
        differences: one entry per image, or per compared frame of each video; empty when the pipeline returned latents.
        latents: one entry per image, when the pipeline returned latents instead of images.
        drift: differences of the latents after each denoise step; empty when only images were available.
        first_module: first module whose output differs; None when not searched for or not found.
        noise: what rounding alone does to the same call; None when it was not measured.
        noise_unavailable: why measuring it failed; empty when it was measured or has no meaning.
        videos: one entry per video; empty when the pipeline returned images.
        audio: one entry per waveform; empty when the pipeline returned none.
        denoisers: the denoiser that ran in each step (`transformer_2`), or several joined with ` + `; empty when only
            images were available.
        reference_denoisers: the same of the reference.
    """

    subject: Subject
    differences: tuple[ImageDifference, ...]
    latents: tuple[LatentDifference, ...] = ()
    drift: tuple[StepDrift, ...] = ()
    first_module: ModuleDrift | None = None
    noise: RoundingNoise | None = None
    noise_unavailable: str = ""
    videos: tuple[VideoDifference, ...] = ()
    audio: tuple[AudioDifference, ...] = ()
    denoisers: tuple[str, ...] = ()
    reference_denoisers: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class RepeatabilityRecord:
    """Outputs of the same call, made twice.

    Attributes:
        differing_values: number of values of the output that differ in any bit.
        values: number of values of the output.
        max_error: largest absolute difference.
        call: label of the call among the repeated calls; empty for the test's own call.
        in_second_process: whether the second call ran in another process.
        output: the part of the output that was compared: `images`, `frames` or `audio`.
    """

    subject: Subject
    differing_values: int
    values: int
    max_error: float
    call: str = ""
    in_second_process: bool = False
    output: str = "images"
