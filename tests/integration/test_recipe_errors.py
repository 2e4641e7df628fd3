"""An invalid recipe is an error of one line at collection."""

import pytest

MARKED = """
import pytest

@pytest.mark.diffopt(recipe={recipe!r})
def test_it(diffopt_recipe):
    pass
"""
APPLIED = """
import small_pipeline

def test_it(diffopt_recipe):
    pipeline = small_pipeline.build()
    diffopt_recipe.apply(pipeline)
    diffopt_recipe.apply(pipeline)
"""


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (
            "sdpa + bf16",
            "bf16 must come before sdpa, got: sdpa + bf16; the right order is: bf16 + sdpa",
        ),
        (
            "compile + fuse_qkv",
            "fuse_qkv must come before compile, got: compile + fuse_qkv; the right order is: fuse_qkv + compile",
        ),
        (
            "tf32 + bf16",
            "bf16 and tf32 contradict each other (tf32 speeds up float32 matmuls, and none remains), got: tf32 + bf16",
        ),
        (
            "vanilla_attention + sdpa",
            (
                "vanilla_attention and sdpa contradict each other (a layer has one attention processor), "
                "got: vanilla_attention + sdpa"
            ),
        ),
        ("bf16 + bf16", "a recipe names each optimization once, got bf16 2 times: bf16 + bf16"),
        (
            "compile(True)",
            "each part of a recipe must be a name or name(keyword=value), got: 'compile(True)' in 'compile(True)'",
        ),
        (
            "bf16 - sdpa",
            "each part of a recipe must be a name or name(keyword=value), got: 'bf16 - sdpa' in 'bf16 - sdpa'",
        ),
        ("bf16 +", "a recipe must look like `bf16 + sdpa + compile`, got: 'bf16 +' (invalid syntax)"),
        ("", "a recipe must look like `bf16 + sdpa + compile`, got: '' (invalid syntax)"),
        (
            "compile(mode=fast)",
            "a keyword's value must be a literal, got: 'mode=fast' in 'compile(mode=fast)'",
        ),
        ("bf16(fast=1)", "unknown keyword of bf16: 'fast'; it takes none"),
        (
            "compile(fullgraph=1)",
            "invalid value for compile: Expected `bool`, got `int` - at `$.fullgraph`",
        ),
        (
            "compile(backend='indutcor')",
            "unknown backend of compile: 'indutcor' (did you mean 'inductor'?); known: aot_eager, *",
        ),
    ],
)
def test_an_invalid_recipe_is_an_error_at_collection(project: pytest.Pytester, recipe: str, message: str) -> None:
    """The message shows the rule, the recipe and, if possible, the corrected recipe; there is no traceback."""
    project.makepyfile(test_it=MARKED.format(recipe=recipe))
    result = project.runpytest_inprocess("--collect-only", "-q")

    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines([f"diffopt: test_it.py::test_it: {message}"])
    result.stdout.no_fnmatch_line("*Traceback*")


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ("fp32", "a pipeline takes one recipe: this SmallPipeline already has fp32"),
        ("sdpa", "sdpa needs a module with attention processors, and SmallPipeline has none"),
        ("fuse_qkv", "fuse_qkv needs a module with fuse_qkv_projections(), and SmallPipeline has none"),
        ("compile(regional=True)", "compile(regional=True) needs a list of repeated blocks, and SmallUNet has none"),
        (
            "compile(target=['transformer'])",
            "compile(target=...) must name a module of the pipeline or one of its methods, got: 'transformer'",
        ),
        (
            "compile(target=['vae.draw'])",
            "compile(target=...) must name a module of the pipeline or one of its methods, got: 'vae.draw'",
        ),
    ],
)
def test_a_recipe_that_does_not_fit_the_pipeline_is_an_error(
    own_pipeline: pytest.Pytester, recipe: str, message: str
) -> None:
    """The message shows what the optimization needs and the pipeline lacks; there is no traceback."""
    marker = f'import pytest\n\npytestmark = pytest.mark.diffopt(recipe="{recipe}")\n'
    own_pipeline.makepyfile(test_it=marker + APPLIED)
    result = own_pipeline.runpytest_inprocess()

    result.assert_outcomes(failed=1)
    assert f"diffopt: {message}" in result.outlines
    result.stdout.no_fnmatch_line("*pytest_diffopt/*")
