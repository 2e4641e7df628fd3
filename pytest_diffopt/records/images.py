"""How far images are from each other, and on the way to them the latents."""

from dataclasses import dataclass

from pytest_diffopt.records.subject import Subject


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageFiles:
    """Where an image was kept, as PNG files named from the folder of the report or, without one, from pytest's cache.

    Attributes:
        image: what was drawn.
        reference: what it was compared with.
        heat_map: FLIP of each pixel, in the colors of magma: black where nobody sees a difference.
    """

    image: str
    reference: str
    heat_map: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageDifference:
    """How far one image is from its reference; pixel values are in [0, 1].

    Attributes:
        ssim: structural similarity as published (Wang et al. 2004), 1 for equal images.
        psnr_db: peak signal-to-noise ratio in decibels; infinite for equal images.
        max_error: the largest absolute difference of any pixel.
        mean_error: the mean absolute difference.
        flip: the mean over all pixels of LDR-FLIP (Andersson et al. 2020), what a person sees who flips between both
            on a 4K monitor at arm's length; 0 for equal images, at most 1.
        lpips: LPIPS with AlexNet (Zhang et al. 2018), how differently a network that knows photographs sees both; 0 for
            equal images. None where nobody asked for it.
        defects: what is wrong with the image itself ("is constant", "holds 12 NaN"); empty for a healthy one.
        files: where both were kept; None where nobody asked for it.
    """

    ssim: float
    psnr_db: float
    max_error: float
    mean_error: float
    flip: float
    lpips: float | None = None
    defects: tuple[str, ...] = ()
    files: ImageFiles | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class LatentDifference:
    """How far the latents of one image are from their reference.

    Attributes:
        cosine: of the angle between both, 1 for the same direction.
        relative_error: the length of their difference, as a share of the reference's length.
        max_error: the largest absolute difference of any value.
        defects: what is wrong with the latents themselves; empty for healthy ones.
    """

    cosine: float
    relative_error: float
    max_error: float
    defects: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class StepDrift:
    """How far the latents are from their reference after one denoise step; of a batch, the furthest.

    Attributes:
        step: the step, from 0.
        cosine: of the angle between both, 1 for the same direction.
        relative_error: the length of their difference, as a share of the reference's length.
    """

    step: int
    cosine: float
    relative_error: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ModuleDrift:
    """The first module, in the order in which they end, whose output leaves what its inputs can account for.

    Attributes:
        module: its path in the pipeline (`unet.down_blocks.0.attentions.1`).
        module_type: its class.
        step: the denoise step in which it was called, from 0; None outside the loop.
        relative_error: how far its output is from the reference pipeline's, as a share of the latter's length.
        input_error: the same of its inputs.
    """

    module: str
    module_type: str
    step: int | None
    relative_error: float
    input_error: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageRecord:
    """A batch of images beside its references, in order.

    Attributes:
        subject: the pipeline that drew them.
        differences: each image beside its reference; empty where latents were asked for.
        latents: each image's latents beside theirs, where latents were asked for in place of images.
        drift: the latents after each denoise step; empty where only images were at hand.
        first_module: where the images part; None where nobody looked for it or no module stands out.
    """

    subject: Subject
    differences: tuple[ImageDifference, ...]
    latents: tuple[LatentDifference, ...] = ()
    drift: tuple[StepDrift, ...] = ()
    first_module: ModuleDrift | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RepeatabilityRecord:
    """The same call, made twice.

    Attributes:
        differing_values: how many values of the output differ in any bit.
        values: how many values the output has.
        max_error: the largest absolute difference.
        call: which of the calls that were made in turn; empty for the test's own.
        in_second_process: the second time was in another process.
    """

    subject: Subject
    differing_values: int
    values: int
    max_error: float
    call: str = ""
    in_second_process: bool = False
