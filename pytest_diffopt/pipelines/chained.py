"""Several diffusers pipelines called one after another, as one pipeline."""

from collections.abc import Iterable
from functools import partial
from typing import Any, Self

import torch

_Bar = Any  # a stage's method that opens a progress bar


class ChainedPipeline:
    """Stages that look like one diffusers pipeline from outside.

    A stage's component is known by its name and the stage's number: the UNet of the second is `unet_2`. Every stage
    opens the chain's progress bar, so whoever watches the chain sees the denoise loops of all of them.

    Subclasses say in `__call__` what the stages hand on.

    Args:
        *stages: diffusers pipelines, in the order of their calls.
    """

    def __init__(self, *stages: Any) -> None:
        self.stages = stages
        self._bar: _Bar = stages[0].progress_bar
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
        """Every stage's components, numbered."""
        return {
            f"{name}_{number}": part
            for number, stage in enumerate(self.stages, start=1)
            for name, part in stage.components.items()
        }

    @property
    def device(self) -> torch.device:
        """Where the stages are."""
        device: torch.device = self.stages[0].device
        return device

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the stages."""
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
        """Open the progress bar of the stage that asked last."""
        return self._bar(iterable=iterable, total=total)

    def _open_bar(self, stages_own: _Bar, iterable: Iterable[Any] | None = None, total: int | None = None) -> Any:
        self._bar = stages_own
        return self.progress_bar(iterable=iterable, total=total)  # the watched one, where somebody watches
