"""Measure how much larger the error of a correct image is than the largest of several samples of rounding.

The factor and the number of samples of `guards.image_noise` and `api.image_rounding` are chosen with these seeds and
prompts; no published figure uses them.

    python -m benchmarks.rounding_samples --json rounding.json
"""

import argparse
import gc
import json
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.injected_faults.false_alarms import RECIPES, Calls, compared
from pytest_diffopt import Scale
from pytest_diffopt.errors import RecipeWarning
from pytest_diffopt.guards.image_noise import MAX_ERROR_FLOOR, NOISE_FACTOR, RMS_ERROR_FLOOR
from pytest_diffopt.guards.rounding import noise_of
from pytest_diffopt.pipelines.loading import build_pipeline
from pytest_diffopt.pipelines.registry import find_pipeline
from pytest_diffopt.probes.reference_precision import precision_of, rounded_calls
from pytest_diffopt.recipes.grammar import parse_recipe
from pytest_diffopt.records import ImageRecord, Subject

_CALLS = Calls(
    prompts=(
        "a yellow circle on a black background, right",
        "a large purple triangle on an orange background",
        "a small red cross on a green background, top",
    ),
    first_seed=500,
    seeds=20,
)
_SAMPLES = (1, 5, 10, 20)
_FIGURES = ("rms", "latents", "max error above the factor")


def main() -> None:
    """Measure, and print the quantiles of each ratio."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="*", default=list(RECIPES), metavar="PIPELINE")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", RecipeWarning)  # int8 without compile is intended here
    ratios = []
    for name in arguments.only:
        ratios += list(_of_pipeline(name))
        print(f"{name}: {len(ratios)} ratios", flush=True)
        if arguments.json:
            arguments.json.write_text(json.dumps(ratios), encoding="utf-8")
    print("\n".join(_table(ratios)))


def _of_pipeline(name: str) -> Iterator[dict[str, Any]]:
    family = find_pipeline(name)
    reference = build_pipeline(family, Scale.TINY).pipeline
    plain = _CALLS.draw(reference, family)
    samples: dict[str, list[list[ImageRecord]]] = {}
    for recipe in RECIPES[name]:
        pipeline = parse_recipe(recipe).apply(build_pipeline(family, Scale.TINY).pipeline)
        precision = precision_of(pipeline, reference)
        if precision is None:
            continue
        if precision.name not in samples:
            again = rounded_calls(reference, precision, lambda: _CALLS.draw(reference, family))
            samples[precision.name] = [compared(results, plain, Subject(pipeline=name)) for results in again]
        records = compared(_CALLS.draw(pipeline, family), plain, Subject(pipeline=name, recipe=recipe))
        for number, record in enumerate(records):
            its = [one[number] for one in samples[precision.name]]
            for count in _SAMPLES:
                ratios = _ratios(record, its[:count])
                yield {"pipeline": name, "recipe": recipe, "image": number, "samples": count, **ratios}
        del pipeline
        torch.compiler.reset()
        gc.collect()


def _ratios(record: ImageRecord, samples: Sequence[ImageRecord]) -> dict[str, float]:
    """Return how much larger than the largest of the samples each error is, without what is below its floor."""
    noise = noise_of("", samples)
    (image,), (size,) = record.differences, noise.images
    steps = zip(record.drift, noise.step_errors, strict=True)
    return {
        "rms": (image.rms_error - RMS_ERROR_FLOOR) / size.rms_error,
        "latents": max((step.relative_error - 1e-3) / error for step, error in steps),
        "max error above the factor": image.max_error - NOISE_FACTOR * size.max_error,
    }


def _table(ratios: Sequence[dict[str, Any]]) -> Iterator[str]:
    yield f"| samples | figure | 99 % | 99.9 % | largest | past {NOISE_FACTOR:g} (or {MAX_ERROR_FLOOR:g}) |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for count in _SAMPLES:
        for figure in _FIGURES:
            values = np.array([one[figure] for one in ratios if one["samples"] == count])
            limit = MAX_ERROR_FLOOR if figure == _FIGURES[-1] else NOISE_FACTOR
            most, nearly_all = np.quantile(values, [0.99, 0.999])
            past = f"{int((values > limit).sum())} of {len(values)}"
            yield f"| {count} | {figure} | {most:.3f} | {nearly_all:.3f} | {values.max():.3f} | {past} |"


if __name__ == "__main__":
    main()
