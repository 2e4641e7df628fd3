"""The accepted document of the images of one call: their files, the thresholds, and the samples behind those."""

from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from pytest_diffopt.baselines.documents import Baseline
from pytest_diffopt.baselines.figures import Text
from pytest_diffopt.records import Concern

#: The largest size of a stored image or set of latents; baselines are committed to a repository.
MAX_FILE_BYTES = 1 << 24

Share = Annotated[float, Meta(ge=0, le=1)]
Distance = Annotated[float, Meta(ge=0)]


class StoredFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file beside a baseline: its name in the baseline's folder, its checksum and its size."""

    name: Text
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    size_bytes: Annotated[int, Meta(gt=0, le=MAX_FILE_BYTES)]


class ImageFigures(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The worst figures of a call; see `records.ImageDifference`.

    The PSNR of equal images is infinite, which JSON cannot represent, so it is stored as at most 100 dB. The figures of
    videos and audio are left out where a call returns none.

    Attributes:
        flicker: see `records.VideoDifference`.
        audio_error: norm of a waveform's difference, divided by that of the reference.
        spectral_distance: see `records.AudioDifference`.
    """

    ssim: Annotated[float, Meta(ge=-1, le=1)]
    psnr_db: Annotated[float, Meta(le=100)]
    max_error: Share
    mean_error: Share
    flip: Share
    latent_error: Distance
    flicker: Distance | None = None
    audio_error: Distance | None = None
    spectral_distance: Distance | None = None


class ImageSample(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The figures of one call from which the thresholds were learned."""

    call: Text
    figures: ImageFigures


class ImageBaseline(Baseline, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The accepted images, videos and audio of a call.

    Attributes:
        images: a PNG file for each image of the call, or for each frame of its videos; empty if the call returns
            latents.
        latents: the latents of each step, and those returned instead of images, as safetensors; `null` without latents.
        thresholds: the allowed difference of later images from these.
        margin: by how much the thresholds exceed the worst sample, as a fraction.
        samples: the figures from which the thresholds were learned.
        frames_per_video: the number of frames of each video; left out for images.
        audio: the waveforms as safetensors; left out without audio.
        sampling_rate_hz: samples per second of the audio; left out when unknown.
    """

    concern: ClassVar[Concern] = Concern.IMAGES
    schema_version: ClassVar[int] = 1

    images: tuple[StoredFile, ...]
    latents: StoredFile | None
    thresholds: ImageFigures
    margin: Annotated[float, Meta(gt=0)]
    samples: Annotated[tuple[ImageSample, ...], Meta(min_length=1)]
    frames_per_video: Annotated[int, Meta(ge=0)] = 0
    audio: StoredFile | None = None
    sampling_rate_hz: Annotated[int, Meta(ge=0)] = 0

    def __post_init__(self) -> None:
        """Raise ValueError unless the frames are those of whole videos."""
        if self.frames_per_video and len(self.images) % self.frames_per_video:
            msg = f"{len(self.images)} images must be a multiple of frames_per_video, got: {self.frames_per_video}"
            raise ValueError(msg)

    @property
    def files(self) -> tuple[StoredFile, ...]:
        """All files of the document."""
        return (*self.images, *filter(None, [self.latents, self.audio]))
