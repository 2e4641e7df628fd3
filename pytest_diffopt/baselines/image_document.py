"""The accepted document of one call's images: which files hold them, how far others may be, and why that far."""

from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from pytest_diffopt.baselines.documents import Baseline
from pytest_diffopt.baselines.figures import Text
from pytest_diffopt.records import Concern

#: A stored image or set of latents may not be larger: baselines are committed.
MAX_FILE_BYTES = 1 << 24

Share = Annotated[float, Meta(ge=0, le=1)]
Distance = Annotated[float, Meta(ge=0)]


class StoredFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file beside a baseline: its name in the baseline's folder, and what must be in it."""

    name: Text
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    size_bytes: Annotated[int, Meta(gt=0, le=MAX_FILE_BYTES)]


class ImageFigures(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The worst figures of a call, as `records.ImageDifference` describes them.

    Of equal images PSNR is infinite, which JSON cannot hold; no more than 100 dB is written.
    """

    ssim: Annotated[float, Meta(ge=-1, le=1)]
    psnr_db: Annotated[float, Meta(le=100)]
    max_error: Share
    mean_error: Share
    flip: Share
    latent_error: Distance


class ImageSample(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one call came to while the thresholds were learned."""

    call: Text
    figures: ImageFigures


class ImageBaseline(Baseline, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Accepted images.

    Attributes:
        images: a PNG for each image of the call; empty where it gives latents.
        latents: the latents after each step and in place of images, as safetensors; `null` where there are none.
        thresholds: how far images may be from these.
        margin: by how much more than the worst sample that is, as a fraction.
        samples: what the thresholds were learned from.
    """

    concern: ClassVar[Concern] = Concern.IMAGES
    schema_version: ClassVar[int] = 1

    images: tuple[StoredFile, ...]
    latents: StoredFile | None
    thresholds: ImageFigures
    margin: Annotated[float, Meta(gt=0)]
    samples: Annotated[tuple[ImageSample, ...], Meta(min_length=1)]

    @property
    def files(self) -> tuple[StoredFile, ...]:
        """Every file that belongs to the document."""
        return (*self.images, *filter(None, [self.latents]))
