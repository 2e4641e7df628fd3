"""What each level of SDXL's ladders does at full size, counted without a GPU, and the least time it needs on one."""

from pathlib import Path
from typing import Annotated

import torch
from msgspec import Meta, Struct

from benchmarks.results_page.reading import FiguresError, Text, Whole, read_document
from pytest_diffopt.simulated_gpu import Counts
from pytest_diffopt.simulated_gpu.cost.gpus import GPUModel
from pytest_diffopt.simulated_gpu.cost.roofline import bound_of, fastest_dtype

#: Written by `python -m benchmarks.results_page.count_levels`.
COUNTED = Path(__file__).with_name("counted_levels.json")


class CountedPhase(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A stretch of the call, or several that are alike.

    Attributes:
        name: `encode`, `step 1`, `decode`.
        times: how often it comes.
        flops: of matrix products, convolutions and attention; a multiply-add is two.
        allocated_bytes: of the tensors that are made.
    """

    name: Text
    times: Annotated[int, Meta(gt=0)]
    flops: Whole
    allocated_bytes: Whole


class CountedLevel(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One level.

    Attributes:
        recipe: its whole stack, as a recipe writes itself.
        dtypes: the floating dtypes of its parameters, by torch's names.
        phases: the call, in order.
        unmodelled: operations whose cost is not known, so that their FLOPs are missing.
    """

    recipe: Text
    dtypes: tuple[Text, ...]
    phases: Annotated[tuple[CountedPhase, ...], Meta(min_length=1)]
    unmodelled: tuple[str, ...]

    @property
    def is_compiled(self) -> bool:
        """Whether any of it is."""
        return "compile(" in self.recipe

    @property
    def flops(self) -> int:
        """Of the whole call."""
        return sum(phase.times * phase.flops for phase in self.phases)


class CountedLevels(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every level, of one call.

    Attributes:
        setting: what was called.
        versions: of the libraries whose code ran.
        levels: by the level's name.
        not_counted: why the others were not, by theirs.
    """

    setting: Text
    versions: dict[str, str]
    levels: dict[str, CountedLevel]
    not_counted: dict[str, Text]


def read_counted(path: Path = COUNTED) -> CountedLevels:
    """Read what was counted.

    Raises:
        FiguresError: it cannot be read, or is no such file.
    """
    counted = read_document(path, CountedLevels)
    for name, level in counted.levels.items():
        if unknown := [one for one in level.dtypes if not isinstance(getattr(torch, one, None), torch.dtype)]:
            msg = f"{path} cannot be trusted: levels.{name}.dtypes: must be torch's names of dtypes, got: {unknown[0]}"
            raise FiguresError(msg)
    return counted


def least_seconds(level: CountedLevel, gpu: GPUModel) -> float:
    """Return the least time that a GPU's peaks allow for a level: it can reach all of the roofline, and no more.

    What is compiled need not write every tensor that was counted: its FLOPs alone bound it. A level that multiplies in
    eight bits is held to the peak of the dtype it keeps the rest in, which those products may exceed.
    """
    dtype = fastest_dtype((getattr(torch, name) for name in level.dtypes), gpu)
    bounds = [
        (phase.times, bound_of(Counts(flops=phase.flops, allocated_bytes=phase.allocated_bytes), gpu, dtype))
        for phase in level.phases
    ]
    return sum(times * (one.compute_seconds if level.is_compiled else one.seconds) for times, one in bounds)
