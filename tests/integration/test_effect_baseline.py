"""What each optimization did in each step is compared exactly: a step cache that reuses another step fails."""

import pytest

CACHED = """
import pytest
from diffusers.hooks.first_block_cache import FBCHeadBlockHook

pytestmark = pytest.mark.diffopt(pipeline="flux", recipe="first_block_cache(threshold=0.5)")

@pytest.fixture
def decided(monkeypatch):
    decide = FBCHeadBlockHook._should_compute_remaining_blocks
    asked = []

    def decide_otherwise(hook, residual):
        asked.append(decide(hook, residual))
        return {changed}.get(len(asked) - 1, asked[-1])

    monkeypatch.setattr(FBCHeadBlockHook, "_should_compute_remaining_blocks", decide_otherwise)

def test_steps(optimized_pipeline, pipeline_inputs, effect_baseline, decided):
    effect_baseline.check(optimized_pipeline, **pipeline_inputs.varied("six", num_inference_steps={steps}))
"""
SMALL = """
import pytest

pytestmark = pytest.mark.diffopt(recipe="{recipe}")

def test_effects(optimized_pipeline, diffopt_recipe, pipeline_inputs, effect_baseline):
    diffopt_recipe.apply(optimized_pipeline)
    {altered}
    effect_baseline.check(optimized_pipeline{more}, **pipeline_inputs)
"""


def cached(project: pytest.Pytester, *options: str, changed: str = "{}", steps: int = 6) -> pytest.RunResult:
    """Run a call of FLUX with a step cache, some of whose decisions are changed."""
    project.makepyfile(test_it=CACHED.format(changed=changed, steps=steps))
    return project.runpytest_inprocess("-W", "ignore", "--tb=short", *options)


def small(
    project: pytest.Pytester, *options: str, recipe: str = "bf16", altered: str = "pass", more: str = ""
) -> pytest.RunResult:
    """Run a call of the small pipeline, altered after its recipe was applied."""
    project.makepyfile(test_it=SMALL.format(recipe=recipe, altered=altered, more=more))
    return project.runpytest_inprocess("--tb=short", *options)


def test_a_step_that_is_reused_instead_of_computed_fails(project: pytest.Pytester) -> None:
    """Each run of steps that changed alike is one line, with the context; the same decisions pass."""
    cached(project, "--diffopt-update=missing").assert_outcomes(passed=1)
    cached(project).assert_outcomes(passed=1)
    result = cached(project, changed="{1: True, 2: True, 5: False}")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: the effects differ from the accepted ones",
            "  first_block_cache(threshold=0.5): 16 -> 12 calls of blocks or layers that were taken from the cache",
            "  first_block_cache(threshold=0.5) of 'cond', steps 1-2: reused -> computed",
            "  first_block_cache(threshold=0.5) of 'cond', step 5: computed -> reused",
            "seen in one call on the CPU, pipeline flux (tiny, weights: pretrained), "
            "recipe first_block_cache(threshold=0.5)",
            "to accept this: pytest 'test_it.py::test_steps[[]flux-first_block_cache(threshold=0.5)]' "
            "--diffopt-update all",
        ],
        consecutive=True,
    )


def test_another_number_of_steps_fails(project: pytest.Pytester) -> None:
    """The loop is named before its steps."""
    cached(project, "--diffopt-update=missing")
    result = cached(project, steps=4)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["diffopt: the effects differ from the accepted ones", "  the loop: 6 -> 4 steps"])


def test_a_cache_without_hits_is_not_accepted(project: pytest.Pytester) -> None:
    """It fails as in `assert_optimizations_effective`, and no file is written."""
    result = cached(project, "--diffopt-update=missing", changed="dict.fromkeys(range(6), True)")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["diffopt: 1 of 1 optimization has no effect, or not everywhere"])
    assert not list(project.path.rglob("*.json"))


def test_a_missing_baseline_fails(own_pipeline: pytest.Pytester) -> None:
    """The failure has the effects, and the command that accepts them."""
    result = small(own_pipeline)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: no effect baseline has been accepted: bf16: 10 matrix products, convolutions and attention calls "
            "in bfloat16",
            "seen on any machine, without a GPU, pipeline SmallPipeline (weights: the user's own), recipe bf16",
            "to accept it: pytest 'test_it.py::test_effects[[]bf16]' --diffopt-update missing",
        ],
        consecutive=True,
    )


def test_a_figure_of_another_optimization_that_changed_fails(own_pipeline: pytest.Pytester) -> None:
    """With the number of the call and of each step."""
    small(own_pipeline, "--diffopt-update=missing")
    again = (
        "optimized_pipeline.unet.conv_in.register_forward_hook(lambda conv, given, output: "
        "conv._conv_forward(given[0], conv.weight, conv.bias))"
    )
    result = small(own_pipeline, altered=again)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: the effects differ from the accepted ones",
            "  bf16: 10 -> 13 matrix products, convolutions and attention calls in bfloat16",
            "  bf16, steps 0-2: 3 -> 4",
        ],
        consecutive=True,
    )


def test_what_cannot_be_seen_is_unwatched(own_pipeline: pytest.Pytester) -> None:
    """Unless it is allowed; it is then no part of the baseline."""
    recipe = "tf32 + channels_last"
    unseen = small(own_pipeline, "--diffopt-update=missing", recipe=recipe)
    unseen.assert_outcomes(failed=1)
    unseen.stdout.fnmatch_lines(["diffopt: the effect of 1 optimization cannot be seen in this call"])

    more = ", allow_unseen=['tf32']"
    small(own_pipeline, "--diffopt-update=missing", recipe=recipe, more=more).assert_outcomes(passed=1)
    small(own_pipeline, recipe=recipe, more=more).assert_outcomes(passed=1)
    (file,) = own_pipeline.path.rglob("*.json")
    assert '"channels_last"' in file.read_text(encoding="utf-8")
    assert '"tf32"' not in file.read_text(encoding="utf-8")
