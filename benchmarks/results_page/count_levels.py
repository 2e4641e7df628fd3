"""Count FLOPs and allocations of each level of SDXL's ladders at full size, without weights and without a GPU.

python -m benchmarks.results_page.count_levels --json benchmarks/results_page/counted_levels.json
"""

import argparse
import itertools
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import torch

from benchmarks.results_page.counted import CountedLevel, CountedLevels, CountedPhase
from pytest_diffopt.environment import capture_environment
from pytest_diffopt.errors import DiffoptError
from pytest_diffopt.pipelines.components import modules_of
from pytest_diffopt.pipelines.scale import Scale
from pytest_diffopt.profile.phases import Phase, PipelineProfile, profile_call
from pytest_diffopt.profile.request import ProfileRequest
from pytest_diffopt.profile.target import Target, find_target
from pytest_diffopt.recipes.grammar import parse_recipe
from pytest_diffopt.recipes.ladders import Level, ladder
from pytest_diffopt.records import Device

_PIPELINE = "sdxl"
#: Those that the results page compares with measured figures.
_LADDERS = ("diffusion-fast", "modern")
_GPU = "nvidia-a100"
# The weights need no data: only shapes matter.
_META = torch.device("meta")


def main(arguments: Sequence[str] | None = None) -> int:
    """Count the levels, and write the file."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.results_page.count_levels",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", type=Path, required=True, metavar="FILE", help="file to overwrite")
    parser.add_argument("--scale", type=Scale, choices=list(Scale), default=Scale.FULL, help="default: full")
    parser.add_argument("--steps", type=int, default=30, help="denoise steps; default: 30")
    options = parser.parse_args(arguments)
    try:
        counted = count(options.scale, options.steps)
    except DiffoptError as error:
        print(f"count_levels: {error}", file=sys.stderr)
        return 2
    text = msgspec.json.format(msgspec.json.encode(counted), indent=2) + b"\n"
    options.json.write_bytes(text)
    return 0


def count(scale: Scale, steps: int) -> CountedLevels:
    """Count every level of the ladders that a GPU measures."""
    levels = [level for name in _LADDERS for level in ladder(name, _PIPELINE, scale, on_gpu=True)]
    unavailable = {level.test_id: parse_recipe(level.recipe).why_unavailable(_META) for level in levels}
    return CountedLevels(
        setting=f"{_PIPELINE}, {scale}, {steps} steps",
        versions=dict(capture_environment(Device.SIMULATED).versions),
        levels={level.test_id: _counted(level, scale, steps) for level in levels if not unavailable[level.test_id]},
        not_counted={name: why for name, why in unavailable.items() if why},
    )


def _counted(level: Level, scale: Scale, steps: int) -> CountedLevel:
    print(level.test_id, file=sys.stderr, flush=True)
    request = ProfileRequest(target=_PIPELINE, scale=scale, gpu_model=_GPU, recipe=level.recipe, num_steps=steps)
    target: Target = find_target(request)
    target.pipeline.set_progress_bar_config(disable=True)
    profile: PipelineProfile = profile_call(target.pipeline, target.inputs, gpu_model=_GPU)
    return CountedLevel(
        recipe=target.recipe,
        dtypes=_dtypes(target.pipeline),
        phases=tuple(_merged(profile.phases)),
        unmodelled=profile.unmodelled,
    )


def _dtypes(pipeline: Any) -> tuple[str, ...]:
    """Return the names of the floating dtypes of the parameters."""
    parameters = (one for module in modules_of(pipeline).values() for one in module.parameters())
    return tuple(sorted({str(one.dtype).removeprefix("torch.") for one in parameters if one.is_floating_point()}))


def _merged(phases: Sequence[Phase]) -> Iterator[CountedPhase]:
    """Yield the phases, with consecutive equal phases merged."""
    for (flops, allocated_bytes), group in itertools.groupby(
        phases, lambda phase: (phase.counts.flops, phase.counts.allocated_bytes)
    ):
        first, *others = [phase.name for phase in group]
        name = f"{first} to {others[-1]}" if others else first
        yield CountedPhase(name=name, times=1 + len(others), flops=flops, allocated_bytes=allocated_bytes)


if __name__ == "__main__":
    sys.exit(main())
