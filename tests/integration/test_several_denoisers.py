"""A pipeline with two denoisers: neither is forgotten, and records have the one that ran in each step."""

import shutil
from pathlib import Path

import pytest

CASE = """
import pytest
import small_video_pipeline
import torch
from pytest_diffopt import assert_no_syncs, assert_optimizations_applied
from torchao.quantization import Int8WeightOnlyConfig, quantize_
from small_video_pipeline import SmallTransformer, WithoutBar, build, inputs

pytestmark = [
    pytest.mark.diffopt(recipe='{recipe}'),
    pytest.mark.filterwarnings("ignore::pytest_diffopt.errors.RecipeWarning"),
]

class Syncing(SmallTransformer):
    def forward(self, hidden_states, timestep):
        if {condition}:
            hidden_states.sum().item()
        return super().forward(hidden_states, timestep)

@pytest.fixture
def optimized_pipeline(diffopt_recipe):
    pipeline = build()
    {change}
    return pipeline

def test_it(optimized_pipeline):
    {call}
"""
APPLIED = "assert_optimizations_applied(optimized_pipeline, **inputs())"
SEEN = "seen in pipeline SmallVideoPipeline (weights: the user's own), recipe {recipe}"


@pytest.fixture
def video(project: pytest.Pytester) -> pytest.Pytester:
    """Make a project with a pipeline of video."""
    shutil.copy(Path(__file__).parent / "small_video_pipeline.py", project.path)
    return project


def run(
    project: pytest.Pytester, *, recipe: str = "fp32", change: str, call: str = APPLIED, condition: str = "True"
) -> pytest.RunResult:
    """Run one assertion."""
    project.makepyfile(test_it=CASE.format(recipe=recipe, change=change, call=call, condition=condition))
    return project.runpytest_inprocess()


@pytest.mark.parametrize(
    ("recipe", "first", "lines"),
    [
        (
            "bf16",
            "pipeline.to(torch.bfloat16); pipeline.transformer_2.float()",
            ["  bf16: 9 of 15 parameters are bfloat16", "    missing: 6 of 6 parameters of transformer_2 are float32"],
        ),
        (
            'fp32 + compile(target=["denoiser"])',
            'pipeline.transformer.compile(backend="eager")',
            [
                '  compile(target=[[]"denoiser"[]]): compiled code ran for nothing *',
                "    missing: transformer_2 is not compiled",
            ],
        ),
        (
            'fp32 + compile(target=["transformer"])',
            'pipeline.transformer.compile(backend="eager")',
            [
                '  compile(target=[[]"transformer"[]]): compiled code ran for nothing *',
                "    missing: transformer_2 is not compiled",
            ],
        ),
        (
            'fp32 + int8_weight_only(filter="all")',
            "quantize_(pipeline.transformer, Int8WeightOnlyConfig(version=2))",
            ["*transformer_2*"],
        ),
    ],
    ids=["cast", "compiled", "compiled by name", "quantized"],
)
def test_a_second_denoiser_that_was_forgotten_is_not_optimized(
    video: pytest.Pytester, recipe: str, first: str, lines: list[str]
) -> None:
    """The optimization that a user applied by hand to the first one alone is not applied."""
    call = APPLIED.replace(", **inputs()", "") if recipe == "bf16" else APPLIED  # torch adds no two dtypes
    result = run(video, recipe=recipe, change=first, call=call)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(lines, consecutive=True)


@pytest.mark.parametrize(
    "recipe",
    [
        "bf16",
        'fp32 + compile(target=["denoiser"])',
        'fp32 + compile(target=["transformer"])',
        'fp32 + compile(target=["transformer_1"])',
        'fp32 + int8_weight_only(filter="all")',
    ],
)
def test_a_recipe_is_applied_to_both(video: pytest.Pytester, recipe: str) -> None:
    """`transformer` is both of them, and `transformer_1` the first alone."""
    run(video, recipe=recipe, change="diffopt_recipe.apply(pipeline)").assert_outcomes(passed=1)


@pytest.mark.parametrize("kind", ["small_video_pipeline.SmallVideoPipeline", "WithoutBar"])
def test_a_sync_of_the_second_denoiser_is_in_its_steps(video: pytest.Pytester, kind: str) -> None:
    """The failure states which denoiser ran when, with and without a progress bar."""
    change = f"pipeline = build({kind}); pipeline.transformer_2 = Syncing()"
    result = run(video, change=change, call="assert_no_syncs(optimized_pipeline, **inputs())")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: the denoise loop synchronizes the CPU with the GPU: 1 sync per step (0 allowed)",
            "  1/step  .item()  test_it.py:*  in forward  (read by the host)",
            "  *hidden_states.sum().item()",
            "  denoisers: steps 0-1: transformer, steps 2-3: transformer_2",
            "seen on the simulated GPU, steps 2-3 of 4, *",
        ],
        consecutive=True,
    )


def test_a_loop_without_a_bar_and_without_a_scheduler_is_an_error(video: pytest.Pytester) -> None:
    """Nothing marks its steps; the message has what does."""
    change = "pipeline = build(WithoutBar); pipeline.scheduler.step = None; pipeline.__class__ = Own"
    own = """
class Own(WithoutBar):
    def __call__(self, generator=None):
        return torch.zeros(1)
"""
    video.makepyfile(
        test_it=CASE.format(
            recipe="fp32",
            change=change.replace("pipeline.scheduler.step = None; ", ""),
            call="assert_no_syncs(optimized_pipeline, **inputs())",
            condition="True",
        )
        + own
    )
    result = video.runpytest_inprocess()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*no denoise loop: Own never opened pipeline.progress_bar(...), and never called the step of its "
            "scheduler: open it around the loop, or pass a callable that is one step"
        ]
    )
