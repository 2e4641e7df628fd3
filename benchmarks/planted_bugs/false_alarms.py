"""How often the picture guard is red over pipelines that are right: every usual recipe, many seeds, several prompts."""

import gc
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from benchmarks.planted_bugs.slices import SliceCheck, check_slice
from pytest_diffopt import ImageThresholds, Scale
from pytest_diffopt.errors import RecipeWarning
from pytest_diffopt.guards.images import judge_images
from pytest_diffopt.pipelines.family import PipelineFamily
from pytest_diffopt.pipelines.loading import build_pipeline
from pytest_diffopt.pipelines.registry import find_pipeline
from pytest_diffopt.probes.images import compare_images
from pytest_diffopt.recipes.grammar import parse_recipe
from pytest_diffopt.records import ImageRecord, Subject

SEEDS = 20
PROMPTS = (
    "a red circle on a blue background",
    "a large yellow triangle on a green background, left",
    "a small white cross on a black background, right",
)
_UNFUSED = (
    "bf16",
    "sdpa",
    "channels_last",
    "bf16 + sdpa + channels_last",
    'bf16 + sdpa + channels_last + compile(target=["denoiser"])',
    "bf16 + sdpa + int8_weight_only",
    "bf16 + sdpa + int8_dynamic",
)
_ALL = (
    *_UNFUSED,
    "fuse_qkv",
    "bf16 + sdpa + channels_last + fuse_qkv",
    "bf16 + sdpa + channels_last + fuse_qkv + compile",
    "bf16 + sdpa + channels_last + fuse_qkv + int8_dynamic",
)
#: What the suites use, taken apart, for each pipeline that draws what it is told.
RECIPES: Mapping[str, tuple[str, ...]] = {
    "sd15": _ALL,
    "sd15-img2img": _ALL,
    "sd15-inpaint": _ALL,
    "sd15-controlnet": _UNFUSED,
    "sdxl": _ALL,
    "ssd-1b": _ALL,
    "sd3": _ALL,
    "flux": _ALL,
    "pixart-alpha": _ALL,
    "bk-sdm": _ALL,
}
#: What a person wants to know of a distribution: the middle, and how far its bad end reaches.
_SHARES = {"median": 0.5, "worst of 100": 0.99, "worst": 1.0}
_METRICS = ("ssim", "psnr_db", "max_error", "mean_error")
_LARGER_IS_BETTER = frozenset({"ssim", "psnr_db"})


@dataclass(frozen=True, kw_only=True, slots=True)
class RightPictures:
    """What the guards say of pictures that are right.

    Attributes:
        pipeline: which pipeline drew them.
        recipe: with which optimizations.
        record: each of them compared with the plain pipeline's.
        usual_checks: what diffusers' checks say of each.
        unavailable: why the recipe cannot be had of this pipeline; empty where it can.
    """

    pipeline: str
    recipe: str
    record: ImageRecord
    usual_checks: tuple[SliceCheck, ...] = ()
    unavailable: str = ""

    @property
    def alarms(self) -> int:
        """How many of them the picture guard calls wrong."""
        return sum(self._is_red(number) for number in range(len(self.record.differences)))

    def _is_red(self, number: int) -> bool:
        one = ImageRecord(subject=self.record.subject, differences=(self.record.differences[number],))
        return judge_images(one, ImageThresholds()).is_red

    def distribution(self, metric: str) -> dict[str, float]:
        """Return the middle and the bad end of a metric."""
        values = np.array([getattr(difference, metric) for difference in self.record.differences])
        is_better = metric in _LARGER_IS_BETTER
        return {
            name: float(np.quantile(values, 1 - share if is_better else share, method="nearest"))
            for name, share in _SHARES.items()
        }


def measure(pipelines: Sequence[str], *, seeds: int) -> Iterator[RightPictures]:
    """Draw every prompt from every seed with every recipe, and compare with the plain pipeline.

    Args:
        pipelines: which pipelines; each is drawn with all of its recipes.
        seeds: how many seeds for each prompt.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RecipeWarning)  # int8 without compile makes sense here: it is compared
        for name in pipelines:
            yield from _of_pipeline(name, seeds)


def _of_pipeline(name: str, seeds: int) -> Iterator[RightPictures]:
    family = find_pipeline(name)
    plain = _drawn(build_pipeline(family, Scale.TINY).pipeline, family, seeds)
    for recipe in RECIPES[name]:
        pipeline = parse_recipe(recipe).apply(build_pipeline(family, Scale.TINY).pipeline)
        drawn = _drawn(pipeline, family, seeds)
        yield RightPictures(
            pipeline=name,
            recipe=recipe,
            record=compare_images(drawn, plain, Subject(pipeline=name, recipe=recipe)),
            usual_checks=tuple(map(check_slice, drawn[:, np.newaxis], plain[:, np.newaxis])),
        )
        del pipeline
        torch.compiler.reset()
        gc.collect()


def _drawn(pipeline: Any, family: PipelineFamily, seeds: int) -> Any:
    """Draw a picture of each prompt and seed, all seeds of a prompt in one call."""
    inputs = family.inputs(Scale.TINY)
    generator = partial(torch.Generator, "cpu")
    pictures = []
    for prompt in PROMPTS:
        call = inputs.varied("", prompt=prompt, num_images_per_prompt=seeds)
        generators = [generator().manual_seed(seed) for seed in range(seeds)]
        pictures.append(np.array(pipeline(**dict(call) | {"generator": generators}).images))
    return np.concatenate(pictures)


def table(rows: Sequence[RightPictures]) -> list[str]:
    """Return the lines of a Markdown table: a line a pipeline and recipe, the worst figures of each metric."""
    lines = [
        "| pipeline | recipe | pictures | false alarms | SSIM | PSNR, dB | largest error | mean error | usual check |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    return lines + [_line(row) for row in rows]


def _line(row: RightPictures) -> str:
    figures = [row.distribution(metric)["worst"] for metric in _METRICS]
    ssim, psnr_db, largest, mean = figures
    number = len(row.record.differences)
    return (
        f"| `{row.pipeline}` | `{row.recipe}` | {number} | {row.alarms} | {ssim:.4f} | {psnr_db:.1f} | {largest:.3f}"
        f" | {mean:.4f} | {_usual(row)} |"
    )


def _usual(row: RightPictures) -> str:
    cosine, tight, usual = (
        sum(getattr(check, name) for check in row.usual_checks) for name in ("cosine", "within_1e3", "within_1e2")
    )
    return f"{cosine} / {tight} / {usual}"


def totals(rows: Sequence[RightPictures]) -> list[str]:
    """Return the lines that sum up: how many alarms, and the distribution of each metric over all."""
    number = sum(len(row.record.differences) for row in rows)
    checks = [check for row in rows for check in row.usual_checks]
    cosine, tight, usual = (sum(getattr(check, name) for check in checks) for name in SLICE_CHECKS)
    return [
        f"{sum(row.alarms for row in rows)} false alarms over {number} right pictures",
        f"diffusers' usual check: {cosine} by the cosine, {tight} by 1e-3, {usual} by 1e-2",
    ]


SLICE_CHECKS = ("cosine", "within_1e3", "within_1e2")


def as_plain(row: RightPictures) -> dict[str, Any]:
    """Return everything that was seen, for machines."""
    return {
        "pipeline": row.pipeline,
        "recipe": row.recipe,
        "pictures": len(row.record.differences),
        "false_alarms": row.alarms,
        "distribution": {metric: row.distribution(metric) for metric in _METRICS},
        "usual_check_alarms": {name: sum(getattr(check, name) for check in row.usual_checks) for name in SLICE_CHECKS},
    }
