"""How often the image guard is red over pipelines that are right: every usual recipe, many seeds, several prompts."""

import gc
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import repeat
from typing import Any

import numpy as np
import torch

from benchmarks.injected_faults.slices import SliceCheck, check_slice
from pytest_diffopt import ImageThresholds, Scale
from pytest_diffopt.errors import RecipeWarning
from pytest_diffopt.guards.images import EXACT_ARITHMETIC, default_thresholds, judge_images
from pytest_diffopt.guards.rounding import judge_at_edge
from pytest_diffopt.guards.verdict import Outcome, Verdict
from pytest_diffopt.pipelines.family import PipelineFamily
from pytest_diffopt.pipelines.loading import build_pipeline
from pytest_diffopt.pipelines.registry import find_pipeline
from pytest_diffopt.probes.image_results import ImageResult, compare_results, generate
from pytest_diffopt.probes.rounding import rounded_calls, rounding_of
from pytest_diffopt.recipes.grammar import parse_recipe
from pytest_diffopt.records import Device, ImageRecord, Subject
from suites.image_thresholds import PIXART_ALPHA

SEEDS = 20
PROMPTS = (
    "a red circle on a blue background",
    "a large yellow triangle on a green background, left",
    "a small white cross on a black background, right",
)
_UNFUSED = (
    "fp32 + sdpa + channels_last",
    "bf16",
    "bf16 + sdpa + channels_last",
    'bf16 + sdpa + channels_last + compile(target=["denoiser"])',
    "bf16 + sdpa + int8_weight_only",
    "bf16 + sdpa + int8_dynamic",
)
_ALL = (
    *_UNFUSED,
    "fp32 + sdpa + channels_last + fuse_qkv",
    "bf16 + sdpa + channels_last + fuse_qkv",
    "bf16 + sdpa + channels_last + fuse_qkv + compile",
    "bf16 + sdpa + channels_last + fuse_qkv + int8_dynamic",
)
#: What the suites use, taken apart, for each pipeline of one stage.
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
#: Pipelines that the defaults are too narrow for, as in their suites.
THRESHOLDS: Mapping[str, ImageThresholds] = {"pixart-alpha": PIXART_ALPHA}
#: What a person wants to know of a distribution: the middle, and how far its bad end reaches.
_SHARES = {"median": 0.5, "worst of 100": 0.99, "worst": 1.0}
METRICS = ("ssim", "psnr_db", "max_error", "mean_error", "flip", "latent_error")
_LARGER_IS_BETTER = frozenset({"ssim", "psnr_db"})
_USUAL_CHECKS = ("cosine", "within_1e3", "within_1e2")


@dataclass(frozen=True, kw_only=True, slots=True)
class RightImages:
    """What the guards say of images that are right.

    Attributes:
        pipeline: which pipeline drew them.
        recipe: with which optimizations.
        verdicts: the image guard's, one an image.
        usual_checks: what diffusers' checks say, one an image.
    """

    pipeline: str
    recipe: str
    verdicts: tuple[Verdict, ...]
    usual_checks: tuple[SliceCheck, ...]

    @property
    def on_edge(self) -> int:
        """How many of them rounding decides, so that the guard proves nothing and says so."""
        return sum(verdict.outcome is Outcome.INCONCLUSIVE for verdict in self.verdicts)

    @property
    def alarms(self) -> int:
        """How many of them the image guard calls wrong."""
        return sum(verdict.is_failure for verdict in self.verdicts)

    def red_calls(self) -> list[str]:
        """Name the calls whose images those are."""
        seeds = len(self.verdicts) // len(PROMPTS)
        red = [number for number, verdict in enumerate(self.verdicts) if verdict.is_failure]
        return [f"`{self.pipeline}`, seed {number % seeds} of {PROMPTS[number // seeds]!r}" for number in red]

    def usual_alarms(self) -> list[int]:
        """Return how many of them each variant of diffusers' check calls wrong."""
        return [sum(getattr(check, name) for check in self.usual_checks) for name in _USUAL_CHECKS]


def measure(pipelines: Sequence[str], *, seeds: int) -> Iterator[RightImages]:
    """Draw every prompt from every seed with every recipe, and compare with the plain pipeline.

    Args:
        pipelines: which pipelines; each is drawn with all of its recipes.
        seeds: how many seeds for each prompt.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RecipeWarning)  # int8 without compile makes sense here: it is compared
        for name in pipelines:
            yield from _of_pipeline(name, seeds)


def _of_pipeline(name: str, seeds: int) -> Iterator[RightImages]:
    family = find_pipeline(name)
    reference = build_pipeline(family, Scale.TINY).pipeline
    plain = _drawn(reference, family, seeds)
    again = rounded_calls(reference, torch.bfloat16, lambda: _drawn(reference, family, seeds))
    rounded = [_compared(results, plain, Subject(pipeline=name)) for results in again]
    for recipe in RECIPES[name]:
        pipeline = parse_recipe(recipe).apply(build_pipeline(family, Scale.TINY).pipeline)
        drawn = _drawn(pipeline, family, seeds)
        records = _compared(drawn, plain, Subject(pipeline=name, recipe=recipe, device=Device.CPU))
        handlers = zip(*rounded, strict=True) if rounding_of(pipeline) else repeat((), len(records))
        pairs = zip(drawn, plain, strict=True)
        yield RightImages(
            pipeline=name,
            recipe=recipe,
            verdicts=tuple(_judge(*both) for both in zip(records, handlers, strict=True)),
            usual_checks=tuple(check_slice(one.images, other.images) for one, other in pairs),
        )
        del pipeline
        torch.compiler.reset()
        gc.collect()


def _compared(drawn: Sequence[ImageResult], plain: Sequence[ImageResult], subject: Subject) -> list[ImageRecord]:
    return [compare_results(*pair, subject) for pair in zip(drawn, plain, strict=True)]


def _judge(record: ImageRecord, rounded: Sequence[ImageRecord]) -> Verdict:
    """Judge an image as `assert_same_images` does."""
    default = default_thresholds(record.subject)
    is_exact = default == EXACT_ARITHMETIC
    thresholds = default if is_exact else THRESHOLDS.get(record.subject.pipeline, default)
    verdict = judge_images(record, thresholds)
    return judge_at_edge(verdict, record, rounded, thresholds, "bfloat16") if verdict.is_failure else verdict


def _drawn(pipeline: Any, family: PipelineFamily, seeds: int) -> list[ImageResult]:
    """Draw an image of each prompt and seed, all seeds of a prompt in one call."""
    inputs = family.inputs(Scale.TINY)
    results = []
    for prompt in PROMPTS:
        call = inputs.varied("", prompt=prompt, num_images_per_prompt=seeds)
        generators = [torch.Generator("cpu").manual_seed(seed) for seed in range(seeds)]
        together = generate(pipeline, partial(pipeline, **dict(call) | {"generator": generators}))
        results += [_one_of(together, number) for number in range(seeds)]
    return results


def _one_of(result: ImageResult, number: int) -> ImageResult:
    """Take one image, and its latents, out of a batch."""
    assert result.images is not None, "unreachable because the tiny pipelines' calls ask for images"  # noqa: S101
    only = slice(number, number + 1)
    return ImageResult(images=result.images[only], steps=tuple(step[only] for step in result.steps))


def table(rows: Sequence[RightImages]) -> list[str]:
    """Return the lines of a Markdown table: a line a pipeline and recipe, the worst figure of each metric."""
    names = ("pipeline", "recipe", "false alarms", "on an edge", "SSIM", "PSNR, dB", "largest error", "mean error")
    head = " | ".join(("|", *names, "FLIP", "latents", "usual |")).replace("| | ", "| ", 1)
    return [head, "| --- " * head.count(" | ") + "| --- |", *map(_line, rows)]


def _line(row: RightImages) -> str:
    ssim, psnr_db, *errors = (distribution([row], metric)["worst"] for metric in METRICS)
    figures = [f"{ssim:.4f}", f"{psnr_db:.1f}", *(f"{error:.4f}" for error in errors)]
    alarms = f"{row.alarms} of {len(row.verdicts)}"
    usual = " / ".join(map(str, row.usual_alarms()))
    return f"| `{row.pipeline}` | `{row.recipe}` | {alarms} | {row.on_edge} | {' | '.join(figures)} | {usual} |"


def distribution(rows: Sequence[RightImages], metric: str) -> dict[str, float]:
    """Return the middle and the bad end of a metric."""
    values = np.array([verdict.figures[metric] for row in rows for verdict in row.verdicts])
    is_better = metric in _LARGER_IS_BETTER
    return {
        name: float(np.quantile(values, 1 - share if is_better else share, method="nearest"))
        for name, share in _SHARES.items()
    }


def totals(rows: Sequence[RightImages]) -> list[str]:
    """Return the lines that sum up: how many alarms, and over which calls."""
    number = sum(len(row.verdicts) for row in rows)
    cosine, tight, usual = (sum(counts) for counts in zip(*(row.usual_alarms() for row in rows), strict=True))
    red = Counter(call for row in rows for call in row.red_calls())
    alarms = sum(red.values())
    return [
        f"- **{alarms} false {'alarm' if alarms == 1 else 'alarms'}** over {number} right images",
        *(f"  - {call}: with {count} of its recipes" for call, count in sorted(red.items())),
        f"- {sum(row.on_edge for row in rows)} on an edge: rounding decides them, and the guard says so",
        f"- diffusers' usual check, of the same images: {cosine} by cosine, {tight} by 1e-3, {usual} by 1e-2",
    ]


def as_plain(row: RightImages) -> dict[str, Any]:
    """Return everything that was seen, for machines."""
    return {
        "pipeline": row.pipeline,
        "recipe": row.recipe,
        "false_alarms": row.alarms,
        "on_edge": row.on_edge,
        "distribution": {metric: distribution([row], metric) for metric in METRICS},
        "usual_check_alarms": dict(zip(_USUAL_CHECKS, row.usual_alarms(), strict=True)),
        "images": [dict(verdict.figures) for verdict in row.verdicts],
    }
