"""The arguments of the profile command."""

from dataclasses import dataclass
from enum import StrEnum

from pytest_diffopt.pipelines.scale import Scale

DEFAULT_GPU_MODEL = "nvidia-h200"


class ProfiledDevice(StrEnum):
    """The device that a profile is taken on."""

    SIMULATED = "simulated"
    NULL = "null"


@dataclass(frozen=True, kw_only=True, slots=True)
class ProfileRequest:
    """One call of the command; None leaves an argument to the pipeline's default.

    Attributes:
        target: a registered pipeline, a folder written by `save_pretrained`, or `module:function`.
        scale: the scale at which a registered pipeline is built.
        device: the simulated GPU or the null GPU.
        gpu_model: the GPU that it stands in for.
        recipe: the optimizations to apply; None is bf16 for a registered pipeline, else none.
        num_steps: number of denoise steps.
        height: height of the image in pixels.
        width: width of the image in pixels.
        batch: number of images in one call.
    """

    target: str
    scale: Scale = Scale.TINY
    device: ProfiledDevice = ProfiledDevice.SIMULATED
    gpu_model: str = DEFAULT_GPU_MODEL
    recipe: str | None = None
    num_steps: int | None = None
    height: int | None = None
    width: int | None = None
    batch: int | None = None

    def changes(self) -> dict[str, tuple[str, int]]:
        """Return the given options of the call: the pipeline's keyword and its value, by option."""
        options = {
            "--steps": ("num_inference_steps", self.num_steps),
            "--height": ("height", self.height),
            "--width": ("width", self.width),
            "--batch": ("num_images_per_prompt", self.batch),
        }
        return {option: (keyword, value) for option, (keyword, value) in options.items() if value is not None}
