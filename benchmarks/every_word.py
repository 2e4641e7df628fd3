"""Try every optimization on every built-in pipeline, tiny and without a GPU: `python -m benchmarks.every_word`.

A cell is one call: the recipe is applied, must have its effect, and must be found in the pipeline afterwards. What the
recipe or diffusers refuses is counted apart, with the reason; an effect that only a GPU shows is not seen. `--json`
keeps the cells, and continues from the file.
"""

import argparse
import enum
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.marked_section import replace_section
from pytest_diffopt import assert_optimizations_applied, assert_optimizations_effective
from pytest_diffopt.errors import DiffoptError
from pytest_diffopt.pipelines.loading import build_pipeline
from pytest_diffopt.pipelines.registry import find_pipeline, known_pipelines
from pytest_diffopt.pipelines.scale import Scale
from pytest_diffopt.recipes.grammar import parse_recipe

RECIPES = (
    "bf16", "sdpa", "channels_last", "fuse_qkv", 'compile(target=["denoiser"], backend="eager")',
    'compile(target=["denoiser"], regional=True, backend="eager")', "vae_tiling(pixels=16)", "vae_slicing",
    "model_offload", "sequential_offload", "group_offload", 'group_offload(type="leaf")', "layerwise_casting",
    "int8_weight_only", "int8_dynamic", "lora", "lora(fused=True)", "first_block_cache(threshold=10.0)",
    "taylorseer_cache(interval=2, first_steps=1)", "mag_cache(threshold=10.0, retention=0.1, steps=4)",
    "pyramid_attention_broadcast", "faster_cache",
)  # fmt: skip
_SLICED = "vae_slicing"  # it has an effect on several images
_PAGE = Path(__file__).parent.parent / "docs" / "optimizations.md"
_SECTION = "every-word"


class Outcome(enum.Enum):
    """What came of one optimization on one pipeline."""

    EFFECT = "effect"
    REFUSED = "refused"
    UNSEEN = "not seen"
    NONE = "no effect"


def main(arguments: Sequence[str] | None = None) -> int:
    """Try what is chosen, print the table, and write it into the documentation if asked to."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.every_word",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--pipelines", nargs="+", metavar="NAME", default=known_pipelines(), help="default: all")
    parser.add_argument("--recipes", nargs="+", metavar="RECIPE", default=RECIPES, help="default: every optimization")
    parser.add_argument("--json", type=Path, metavar="FILE", help="file of the cells, which is continued")
    parser.add_argument("--docs", action="store_true", help=f"write the table into {_PAGE.name}")
    options = parser.parse_args(arguments)
    cells = json.loads(options.json.read_text(encoding="utf-8")) if options.json and options.json.exists() else {}
    for name in options.pipelines:
        for recipe in options.recipes:
            key = f"{name}: {recipe}"
            if key not in cells:
                outcome, reason = tried(name, recipe)
                cells[key] = {"outcome": outcome.value, "reason": reason}
                print(
                    f"{key}: {outcome.value}{': ' if reason else ''}{reason.splitlines()[0] if reason else ''}",
                    flush=True,
                )
                if options.json:
                    options.json.write_text(json.dumps(cells, indent=1), encoding="utf-8")
    lines = list(table(cells))
    print("\n".join(lines))
    if options.docs:
        replace_section(_PAGE, _SECTION, lines)
    return 0


def tried(name: str, recipe: str) -> tuple[Outcome, str]:
    """Apply a recipe to a tiny pipeline and make a call; return what came of it, and why."""
    torch.compiler.reset()  # Dynamo compiles one function eight times, and many pipelines have the same
    family = find_pipeline(name)
    pipeline = build_pipeline(family, Scale.TINY).pipeline
    pipeline.set_progress_bar_config(disable=True)
    inputs = family.inputs(Scale.TINY)
    if recipe == _SLICED and family.largest_batch != 1:
        inputs = family.batched_inputs(Scale.TINY, 2)
    try:
        parse_recipe(recipe).apply(pipeline)
        assert_optimizations_effective(pipeline, recipe=recipe, **inputs)
        assert_optimizations_applied(pipeline, recipe=recipe)
    except (AssertionError, DiffoptError) as error:
        return _outcome(str(error)), str(error)
    except Exception as error:  # noqa: BLE001 - diffusers' own refusal of a combination, which the table shows
        return Outcome.REFUSED, f"{type(error).__name__}: {error}"
    return Outcome.EFFECT, ""


def _outcome(message: str) -> Outcome:
    if "cannot be seen in this call" in message:
        return Outcome.UNSEEN
    return Outcome.NONE if "has no effect" in message or "is not applied" in message else Outcome.REFUSED


def table(cells: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield a Markdown table: for each recipe the number of pipelines of each outcome, and which have another."""
    recipes = dict.fromkeys(key.partition(": ")[2] for key in cells)
    yield "| recipe | effect | not seen | no effect | refused |"
    yield "|---|---|---|---|---|"
    for recipe in recipes:
        found = _outcomes_of(cells, recipe)
        others = (_named(found, one) for one in (Outcome.UNSEEN, Outcome.NONE, Outcome.REFUSED))
        yield f"| `{recipe}` | {Counter(found.values())[Outcome.EFFECT.value]} | {' | '.join(others)} |"


def _named(found: Mapping[str, str], outcome: Outcome) -> str:
    names = [name for name, one in found.items() if one == outcome.value]
    return f"{len(names)}: {', '.join(names)}" if names else "0"


def _outcomes_of(cells: Mapping[str, Mapping[str, Any]], recipe: str) -> dict[str, str]:
    split = ((key.partition(": "), cell) for key, cell in cells.items())
    return {name: str(cell["outcome"]) for (name, _, of), cell in split if of == recipe}


if __name__ == "__main__":
    sys.exit(main())
