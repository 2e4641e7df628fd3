"""What a person asks the command for."""

from dataclasses import dataclass

from pytest_diffopt.pipelines.scale import Scale

DEFAULT_GPU_MODEL = "nvidia-h200"


@dataclass(frozen=True, kw_only=True, slots=True)
class ProfileRequest:
    """One call of the command; None leaves the choice to the pipeline.

    Attributes:
        target: a registered pipeline, a folder that `save_pretrained` wrote, or `module:function`.
        scale: how large a registered pipeline is built.
        gpu_model: the GPU to simulate.
        recipe: the optimizations to apply; a registered pipeline takes bf16 when none is named.
        num_steps: denoise steps.
        height: of the image, in pixels.
        width: of the image, in pixels.
        batch: images made in one call.
    """

    target: str
    scale: Scale = Scale.TINY
    gpu_model: str = DEFAULT_GPU_MODEL
    recipe: str | None = None
    num_steps: int | None = None
    height: int | None = None
    width: int | None = None
    batch: int | None = None

    def changes(self) -> dict[str, tuple[str, int]]:
        """Return what was asked of the call: by option, the pipeline's keyword and its value."""
        asked = {
            "--steps": ("num_inference_steps", self.num_steps),
            "--height": ("height", self.height),
            "--width": ("width", self.width),
            "--batch": ("num_images_per_prompt", self.batch),
        }
        return {option: (keyword, value) for option, (keyword, value) in asked.items() if value is not None}
