"""Counted FLOPs and allocations of each level of SDXL's full-size ladders, and the roofline's time for them."""

from pathlib import Path
from typing import Annotated

import torch
from msgspec import Meta, Struct, field

from benchmarks.results_page.reading import FiguresError, Text, Whole, read_document
from pytest_diffopt.simulated_gpu import Counts
from pytest_diffopt.simulated_gpu.cost.gpus import GPUModel
from pytest_diffopt.simulated_gpu.cost.roofline import bound_of, peak_tflops

#: Written by `python -m benchmarks.results_page.count_levels`.
COUNTED = Path(__file__).with_name("counted_levels.json")


class CountedPhase(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A phase of the call, or several equal consecutive phases.

    Attributes:
        name: such as `encode`, `step 1` or `decode`.
        times: number of merged phases.
        flops: FLOPs of matrix products, convolutions and attention; a multiply-add counts two.
        allocated_bytes: total size of the created tensors.
    """

    name: Text
    times: Annotated[int, Meta(gt=0)]
    flops: Whole
    allocated_bytes: Whole


class CountedLevel(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One level.

    Attributes:
        recipe: canonical text of its recipe.
        dtypes: names of the floating dtypes of its parameters, without `torch.`.
        phases: phases of the call, in order.
        unmodelled: operations of unknown cost, whose FLOPs are missing.
    """

    recipe: Text
    dtypes: tuple[Text, ...]
    phases: Annotated[tuple[CountedPhase, ...], Meta(min_length=1)]
    unmodelled: tuple[str, ...]

    @property
    def is_compiled(self) -> bool:
        """Whether its recipe compiles."""
        return "compile(" in self.recipe

    @property
    def flops(self) -> int:
        """FLOPs of the whole call."""
        return sum(phase.times * phase.flops for phase in self.phases)


class CountedLevels(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every level of the ladders.

    Attributes:
        setting: description of the call.
        versions: versions of the libraries.
        levels: counted levels, by name.
        not_counted: reasons why levels were not counted, by name.
    """

    setting: Text
    versions: dict[str, str]
    levels: dict[str, CountedLevel] = field(name="rungs")
    not_counted: dict[str, Text]


def read_counted(path: Path = COUNTED) -> CountedLevels:
    """Read the file of counted levels.

    Raises:
        FiguresError: it cannot be read, or is invalid.
    """
    counted = read_document(path, CountedLevels)
    for name, level in counted.levels.items():
        if unknown := [one for one in level.dtypes if not isinstance(getattr(torch, one, None), torch.dtype)]:
            msg = f"{path} is invalid: rungs.{name}.dtypes: must be names of torch's dtypes, got: {unknown[0]}"
            raise FiguresError(msg)
    return counted


def least_seconds(level: CountedLevel, gpu: GPUModel) -> float:
    """Return the roofline's time for a level: the minimum that a GPU's peaks allow.

    Compiled code need not write every counted tensor, so only its FLOPs bound it. A level with 8-bit matrix products is
    bounded by the peak of the dtype of its other operations, which those products may exceed.
    """
    dtype = max(sorted(level.dtypes), key=lambda one: peak_tflops(gpu, one), default="float32")
    return sum(phase.times * bound_of(_counts(phase, level, dtype), gpu).seconds for phase in level.phases)


def _counts(phase: CountedPhase, level: CountedLevel, dtype: str) -> Counts:
    written_bytes = 0 if level.is_compiled else phase.allocated_bytes
    return Counts(least_flops={dtype: phase.flops}, least_written_bytes=written_bytes)
