"""What the denoisers of a pipeline ran on the watched device: the evidence that the loop was watched."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class DenoiserEvidence:
    """Calls and operations of the denoisers in each denoise step.

    Attributes:
        names: the denoisers of the pipeline (`unet`, `transformer`).
        calls: the number of their calls in each step; 0 in a step that skips them, as a cache does.
        operations: what they ran on the watched device in each step, counted like the operations of the whole step.
        elsewhere: the denoisers that ran nothing there in a call, with the device of their weights (`unet: weights on
            cpu`).
    """

    names: tuple[str, ...]
    calls: tuple[int, ...]
    operations: tuple[int, ...]
    elsewhere: tuple[str, ...] = ()

    @property
    def unwatched_steps(self) -> tuple[int, ...]:
        """The steps in which a denoiser was called and none ran anything on the watched device."""
        counted = enumerate(zip(self.calls, self.operations, strict=True))
        return tuple(step for step, (calls, operations) in counted if calls and not operations)

    @property
    def is_watched(self) -> bool:
        """Whether the denoisers ran on the watched device in every step that called them, and in one at least."""
        return any(self.calls) and not self.unwatched_steps
