"""How far pictures are from each other."""

from dataclasses import dataclass

from pytest_diffopt.records.subject import Subject


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageDifference:
    """How far one picture is from its reference; pixel values are in [0, 1].

    Attributes:
        ssim: structural similarity as published (Wang et al. 2004), 1 for equal pictures.
        psnr_db: peak signal-to-noise ratio in decibels; infinite for equal pictures.
        max_error: the largest absolute difference of any pixel.
        mean_error: the mean absolute difference.
        defects: what is wrong with the picture itself ("is constant", "holds 12 NaN"); empty for a healthy one.
    """

    ssim: float
    psnr_db: float
    max_error: float
    mean_error: float
    defects: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageRecord:
    """A batch of pictures beside its references, in order."""

    subject: Subject
    differences: tuple[ImageDifference, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class RepeatabilityRecord:
    """The same call, made twice.

    Attributes:
        differing_values: how many values of the output differ in any bit.
        values: how many values the output has.
        max_error: the largest absolute difference.
    """

    subject: Subject
    differing_values: int
    values: int
    max_error: float
