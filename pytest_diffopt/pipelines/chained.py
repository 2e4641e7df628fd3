"""Several diffusers pipelines that are called one after another, as one pipeline."""

from collections.abc import Iterable
from functools import partial
from typing import Any, Self

import torch

_OpenBar = Any  # a stage's method that opens a progress bar


class ChainedPipeline:
    """Stages with the interface of one diffusers pipeline.

    A component's name ends with the number of its stage: the UNet of the second stage is `unet_2`. Every stage opens
    the chain's progress bar, so that probes of the chain see the denoise loops of all stages.

    Subclasses define in `__call__` what each stage passes to the next.

    Args:
        *stages: diffusers pipelines, in the order of their calls.
    """

    def __init__(self, *stages: Any) -> None:
        self.stages = stages
        self._stage_bar: _OpenBar = stages[0].progress_bar
        for stage in stages:
            stage.progress_bar = partial(self._open_bar, stage.progress_bar)

    def __getattr__(self, name: str) -> Any:
        """Return a component by its numbered name."""
        components = self.components if "stages" in vars(self) else {}
        if name not in components:
            msg = f"{type(self).__name__!r} object has no attribute {name!r}"
            raise AttributeError(msg)
        return components[name]

    @property
    def components(self) -> dict[str, Any]:
        """The components of every stage, with the stage's number at the end of the name."""
        return {
            f"{name}_{number}": part
            for number, stage in enumerate(self.stages, start=1)
            for name, part in stage.components.items()
        }

    @property
    def device(self) -> torch.device:
        """The device of the stages."""
        device: torch.device = self.stages[0].device
        return device

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the stages."""
        dtype: torch.dtype = self.stages[0].dtype
        return dtype

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Move every stage to a device or dtype."""
        for stage in self.stages:
            stage.to(*args, **kwargs)
        return self

    def set_progress_bar_config(self, **config: Any) -> None:
        """Configure the progress bars of every stage."""
        for stage in self.stages:
            stage.set_progress_bar_config(**config)

    def progress_bar(self, iterable: Iterable[Any] | None = None, total: int | None = None) -> Any:
        """Open the progress bar of the stage that opened one last."""
        return self._stage_bar(iterable=iterable, total=total)

    def _open_bar(self, stage_bar: _OpenBar, iterable: Iterable[Any] | None = None, total: int | None = None) -> Any:
        self._stage_bar = stage_bar
        return self.progress_bar(iterable=iterable, total=total)  # a probe may have replaced this method
