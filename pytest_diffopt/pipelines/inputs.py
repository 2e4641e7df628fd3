"""Keyword arguments of a pipeline's call that give the same image every time."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

from pytest_diffopt.arguments import FUNCTION, INTEGER, KEYWORDS, TEXT, YES_OR_NO, ArgumentError, Rule, require

#: Changes a pipeline for the duration of one call, and restores it.
PipelineChange = Callable[[Any], AbstractContextManager[None]]
#: The seeds that a torch.Generator takes.
_SEED = Rule(
    text="a whole number of at most 64 bits", holds=lambda value: INTEGER.holds(value) and -(2**63) <= value < 2**64
)


class PipelineInputs(Mapping[str, Any]):
    """Keyword arguments for a pipeline, with a seed in place of a generator.

    Using a `torch.Generator` changes its state, so a dictionary with a generator gives another image in the second
    call. Here each unpacking, `pipeline(**inputs)`, creates a new `generator` on the CPU from the same seed.

    Args:
        arguments: every keyword but `generator`.
        seed: the seed of the generator; None leaves the keyword out, for a call that takes no generator.
        label: how this call differs from the plain call; empty for the plain call.
        changes_shape: the models get inputs of another shape and may compile once more.
        change: a change of the pipeline itself during this call, such as another scheduler or LoRA scale.

    Raises:
        ArgumentError: an argument has the wrong type, or the keywords have a generator beside the seed.
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
        require(KEYWORDS, arguments, "PipelineInputs(...)")
        for rule, value, name in (
            (_SEED.or_none(), seed, "seed"),
            (TEXT, label, "label"),
            (YES_OR_NO, changes_shape, "changes_shape"),
            (FUNCTION.or_none(), change, "change"),
        ):
            require(rule, value, f"PipelineInputs({name}=...)")
        if "generator" in arguments and seed is not None and not isinstance(arguments, PipelineInputs):
            msg = "PipelineInputs makes the generator from its seed, got: the keyword generator: pass seed=... instead"
            raise ArgumentError(msg)
        self.seed: int | None = seed
        # The generator of another call is made from its seed, and this call has a seed of its own.
        drops = {"generator"} if isinstance(arguments, PipelineInputs) and arguments.seed is not None else set()
        self._arguments = {name: arguments[name] for name in arguments if name not in drops}
        self.label = label
        self.changes_shape = changes_shape
        self.change = change

    def __getitem__(self, name: str) -> Any:
        if name == "generator" and self.seed is not None:
            import torch  # noqa: PLC0415 - pytest imports this module at every start

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
        """Return the same call with some keywords changed and a label that failures show."""
        return PipelineInputs(self._arguments | changes, seed=self.seed if seed is None else seed, label=label)

    def without(self, *names: str) -> "PipelineInputs":
        """Return the same call without some keywords."""
        left = {name: value for name, value in self._arguments.items() if name not in names}
        return PipelineInputs(left, seed=self.seed, label=self.label)

    def reshaped(self, label: str, **changes: Any) -> "PipelineInputs":
        """Return the same call with changed keywords that give the models inputs of another shape."""
        return PipelineInputs(self._arguments | changes, seed=self.seed, label=label, changes_shape=True)

    def within(self, label: str, change: PipelineChange) -> "PipelineInputs":
        """Return the same call with a change of the pipeline itself while it runs."""
        return PipelineInputs(self._arguments, seed=self.seed, label=label, change=change)
