"""What a pipeline is called with: keyword arguments that give the same image every time they are used."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

#: Changes a pipeline for the length of one call, and puts it back.
PipelineChange = Callable[[Any], AbstractContextManager[None]]


class PipelineInputs(Mapping[str, Any]):
    """Keyword arguments for a pipeline, with a seed in place of a generator.

    A `torch.Generator` changes while it is used, so a dictionary that holds one gives another image at the second
    call. Here `generator` is made anew, on the CPU and from the same seed, each time the mapping is unpacked:
    `pipeline(**inputs)`.

    Args:
        arguments: every keyword but `generator`.
        seed: what the generator starts from; None leaves the keyword out, for a call that takes no generator.
        label: how this call differs from the plain one; empty for the plain one.
        changes_shape: the models get inputs of another shape, for which they may be compiled once more.
        change: what else is different in the pipeline itself while this call is made: its scheduler, a LoRA's scale.
    """

    def __init__(
        self,
        arguments: Mapping[str, Any],
        *,
        seed: int | None = 0,
        label: str = "",
        changes_shape: bool = False,
        change: PipelineChange | None = None,
    ) -> None:
        self._arguments = dict(arguments)
        self.seed = seed
        self.label = label
        self.changes_shape = changes_shape
        self.change = change

    def __getitem__(self, name: str) -> Any:
        if name == "generator" and self.seed is not None:
            import torch  # noqa: PLC0415 - collecting tests must not wait for torch

            return torch.Generator("cpu").manual_seed(self.seed)
        return self._arguments[name]

    def __iter__(self) -> Iterator[str]:
        yield from self._arguments
        if self.seed is not None:
            yield "generator"

    def __len__(self) -> int:
        return len(self._arguments) + (self.seed is not None)

    def __repr__(self) -> str:
        return f"PipelineInputs({self._arguments}, seed={self.seed})"

    def varied(self, label: str, *, seed: int | None = None, **changes: Any) -> "PipelineInputs":
        """Return the same call with some keywords changed, named so that a failure can say which call it was."""
        return PipelineInputs(self._arguments | changes, seed=self.seed if seed is None else seed, label=label)

    def without(self, *names: str) -> "PipelineInputs":
        """Return the same call with some keywords left out."""
        left = {name: value for name, value in self._arguments.items() if name not in names}
        return PipelineInputs(left, seed=self.seed, label=self.label)

    def reshaped(self, label: str, **changes: Any) -> "PipelineInputs":
        """Return the same call with keywords changed that give the models inputs of another shape."""
        return PipelineInputs(self._arguments | changes, seed=self.seed, label=label, changes_shape=True)

    def within(self, label: str, change: PipelineChange) -> "PipelineInputs":
        """Return the same call, made while something else is different in the pipeline itself."""
        return PipelineInputs(self._arguments, seed=self.seed, label=label, change=change)
