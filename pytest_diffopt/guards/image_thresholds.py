"""How far an image may be from its reference."""

from dataclasses import dataclass

from pytest_diffopt.arguments import ANY_NUMBER, LIMIT, NUMBER, Rule, require
from pytest_diffopt.records import Device, Subject

_SSIM = Rule(text="a number from -1 to 1", holds=lambda value: NUMBER.holds(value) and -1 <= value <= 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageThresholds:
    """How far an image may be from its reference; all thresholds apply. Pixel values are in [0, 1].

    The three thresholds that are None by default are those of `guards.image_noise`: 1.5 times what rounding alone does
    to the same call. Where that was not measured, 28 dB, 0.6 and 0.12 are used, which leave room for the error of
    bfloat16 and int8 in the tiny pipelines. `image_baseline` learns the thresholds of one recipe.

    Attributes:
        min_ssim: the least structural similarity.
        min_psnr_db: the least peak signal-to-noise ratio, in decibels; None to derive it.
        max_error: the largest absolute difference of any pixel; None to derive it.
        max_mean_error: the largest mean absolute difference.
        max_flip: the largest mean FLIP.
        max_lpips: the largest LPIPS; None to not measure LPIPS. Needs the extra `lpips`.
        max_latent_error: the largest norm of the latents' difference, as a fraction of the norm of the reference:
            after each step, and where a call returns latents instead of images; None to derive it.
        max_flicker: of videos, the largest mean absolute difference between the change from one frame to the next and
            the same change in the reference; None to derive it, and never more than `max_mean_error`.
    """

    min_ssim: float = 0.94
    min_psnr_db: float | None = None
    max_error: float | None = None
    max_mean_error: float = 0.02
    max_flip: float = 0.18
    max_lpips: float | None = None
    max_latent_error: float | None = None
    max_flicker: float | None = None

    def __post_init__(self) -> None:
        """Raise ArgumentError for a threshold that is no number, or that no image could keep."""
        require(_SSIM, self.min_ssim, "ImageThresholds(min_ssim=...)")
        for name in ("max_mean_error", "max_flip"):
            require(LIMIT, getattr(self, name), f"ImageThresholds({name}=...)")
        require(ANY_NUMBER.or_none(), self.min_psnr_db, "ImageThresholds(min_psnr_db=...)")  # -inf: no limit
        for name in ("max_error", "max_lpips", "max_latent_error", "max_flicker"):
            require(LIMIT.or_none(), getattr(self, name), f"ImageThresholds({name}=...)")

    @property
    def ask_for_lpips(self) -> bool:
        """Whether LPIPS must be measured."""
        return self.max_lpips is not None


#: Room for float32 rounding where only the order of additions changes. Measured without a GPU: the worst of four
#: pipelines over seeds and prompts was 118.9 dB, FLIP 0.0001 and a relative latent error below 0.0005.
EXACT_ARITHMETIC = ImageThresholds(
    min_ssim=0.9999, min_psnr_db=80.0, max_error=0.005, max_mean_error=0.0002, max_flip=0.002, max_latent_error=0.001
)
# A different scheduler or model draws a different image, but the reference uses the same one.
_KEEPS_ARITHMETIC = frozenset(
    {
        "attn_processor_2_0",
        "begin_index",
        "channels_last",
        "compile",
        "compile_cache",
        "context_parallel",
        "distilled",
        "fp32",
        "fuse_qkv",
        "inductor",
        "pointwise_linears",
        "scheduler",
        "sdpa",
        "tensor_parallel",
        "tiny_autoencoder",
        "vanilla_attention",
    }
)


def default_thresholds(subject: Subject) -> ImageThresholds:
    """Return the thresholds for a test that sets none: stricter where the recipe keeps float32 arithmetic.

    The stricter ones apply only on the CPU: on a GPU convolutions may use TensorFloat-32 by default.
    """
    names = {part.partition("(")[0] for part in subject.recipe.split(" + ")}
    is_exact = subject.device is Device.CPU and "fp32" in names and names <= _KEEPS_ARITHMETIC
    return EXACT_ARITHMETIC if is_exact else ImageThresholds()
