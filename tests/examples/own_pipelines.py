"""Valid and invalid functions for `profile module:function`."""

from collections.abc import Callable
from typing import Any, Self

import torch


class Bar:
    """A progress bar that shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        """End the loop."""

    def update(self, steps: int = 1) -> None:
        """Count steps."""


class OwnPipeline:
    """A pipeline without a diffusers base class: two linear layers, one called in each step."""

    def __init__(self, *, finish: Callable[[torch.Tensor], object] | None = None) -> None:
        self.components = {"transformer": torch.nn.Linear(8, 8), "vae": torch.nn.Linear(8, 4)}
        self._finish = finish

    def to(self, device: torch.device) -> Self:
        """Move every module."""
        for module in self.components.values():
            module.to(device)
        return self

    def progress_bar(self, iterable: object = None, total: int | None = None) -> Bar:
        """Return the bar for the loop."""
        del iterable, total
        return Bar()

    @torch.no_grad()
    def __call__(self, prompt: str, num_inference_steps: int = 3) -> Any:
        """Return an image of four numbers."""
        denoiser, vae = self.components.values()
        latents = torch.full((1, 8), float(len(prompt)), device=denoiser.weight.device)
        with self.progress_bar(total=num_inference_steps) as bar:
            for _ in range(num_inference_steps):
                latents = denoiser(latents)
                bar.update()
            if self._finish is not None:
                self._finish(latents)
        return vae(latents).cpu()


def build() -> OwnPipeline:
    """Return a pipeline."""
    return OwnPipeline()


def build_with_inputs() -> tuple[OwnPipeline, dict[str, Any]]:
    """Return a pipeline and its inputs."""
    return OwnPipeline(), {"prompt": "p", "num_inference_steps": 5}


def build_reading_after_last_update() -> OwnPipeline:
    """Return a pipeline that synchronizes inside its loop, after the last step was counted."""
    return OwnPipeline(finish=lambda latents: latents.sum().item())


def build_failing() -> OwnPipeline:
    """Return a pipeline whose call fails."""

    def fail(_: torch.Tensor) -> None:
        message = "no such thing"
        raise ValueError(message)

    return OwnPipeline(finish=fail)


def build_raising() -> None:
    """Raise instead of building."""
    message = "the weights are gone"
    raise RuntimeError(message)


def build_nothing() -> int:
    """Return no pipeline."""
    return 3


def build_without_loop() -> torch.nn.Module:
    """Return a callable without a loop."""
    return torch.nn.Linear(8, 8)
