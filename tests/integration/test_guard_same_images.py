"""Two pipelines that draw different images fail their test, with the step and the module where they diverge."""

from pathlib import Path

import pytest

from tests import fake_lpips

CASE = """
import pytest
import torch
from pytest_diffopt import assert_same_images

pytestmark = pytest.mark.diffopt(pipeline="sdxl", recipe="fp32 + channels_last")

class Doubled(torch.nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, *args, **kwargs):
        return self.inner(*args, **kwargs) * 2

def test_image(optimized_pipeline, reference_pipeline, pipeline_inputs):
    {inject}
    assert_same_images(optimized_pipeline, reference_pipeline, **{inputs})
"""
CLEAN = "assert optimized_pipeline is not reference_pipeline"
WRONG_ATTENTION = (
    "block = optimized_pipeline.unet.mid_block.attentions[0].transformer_blocks[0].attn1; "
    "block.to_out[0] = Doubled(block.to_out[0])"
)
WRONG_VAE = "vae = optimized_pipeline.vae; vae.decoder.conv_out = Doubled(vae.decoder.conv_out)"
WRONG_SCHEDULER = "optimized_pipeline.scheduler.register_to_config(prediction_type='v_prediction')"
SEEN = "seen in pipeline sdxl (tiny, weights: pretrained), recipe fp32 + channels_last; pixel values are in [[]0, 1[]]"
ACCEPT_HINT = "to accept this: pass thresholds=ImageThresholds(...) with the reason in a comment"
EXPLAIN_HINT = "to find the first module whose output differs: the same command with --diffopt-explain"


def run(project: pytest.Pytester, inject: str, *options: str, inputs: str = "pipeline_inputs") -> pytest.RunResult:
    """Run one assertion."""
    project.makepyfile(test_it=CASE.format(inject=inject, inputs=inputs))
    return project.runpytest_inprocess(*options)


@pytest.mark.parametrize("inputs", ["pipeline_inputs", "(dict(pipeline_inputs) | {'output_type': 'latent'})"])
def test_the_same_pipeline_in_another_layout_passes(project: pytest.Pytester, inputs: str) -> None:
    """Float32 with another order of additions; images, and latents where the call returns them."""
    result = run(project, CLEAN, "-v", inputs=inputs)

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["passed * images *sdxl*"])


def test_a_doubled_attention_output_fails(project: pytest.Pytester) -> None:
    """It is invisible, also to SSIM: float32 has strict thresholds from the first step on."""
    result = run(project, WRONG_ATTENTION)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: 1 of 1 image differs from the reference",
            "  image 0: PSNR * dB (at least 80 dB required)",
            "  image 0: largest error of a pixel 0.* (0.005 allowed)",
            "  image 0: mean error 0.* (0.0002 allowed)",
            "  image 0: FLIP 0.* (0.002 allowed)",
            "  first difference in step 0 of 4: relative latent error 0.* (0.001 allowed), cosine 1.0000",
            SEEN,
            ACCEPT_HINT,
            EXPLAIN_HINT,
            "images: /*/images/test_it.py__test_image*",
        ],
        consecutive=True,
    )


@pytest.mark.parametrize(
    ("inject", "module"),
    [
        (
            WRONG_ATTENTION,
            "  first differing module: unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_out.0 (Doubled), "
            "step 0: relative error 1.0000 of its output, 0.0000 of its inputs",
        ),
        (
            WRONG_VAE,
            "  first differing module: vae.decoder.conv_out (Doubled), outside the denoise loop: "
            "relative error 1.0000 of its output, 0.0000 of its inputs",
        ),
    ],
    ids=["attention", "VAE"],
)
def test_the_first_module_is_named_on_demand(project: pytest.Pytester, inject: str, module: str) -> None:
    """With its class, the step, and the error of its inputs."""
    result = run(project, inject, "--diffopt-explain")

    result.assert_outcomes(failed=1)
    assert module in result.outlines
    result.stdout.no_fnmatch_line(EXPLAIN_HINT)


def test_a_bug_after_the_loop_is_distinguished_from_one_in_it(project: pytest.Pytester) -> None:
    """All latents agree, so it is in the VAE."""
    result = run(project, WRONG_VAE)

    result.assert_outcomes(failed=1)
    assert "  the latents of all 4 steps agree: the images differ after the last step" in result.outlines


def test_a_wrong_scheduler_names_no_module(project: pytest.Pytester) -> None:
    """Every module is right for its inputs until the latents diverge, so no module is named."""
    result = run(project, WRONG_SCHEDULER, "--diffopt-explain")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["  first difference in step 0 of 4: relative latent error *"])
    result.stdout.no_fnmatch_line("*first differing module*")


def test_latents_against_images_are_an_error(own_pipeline: pytest.Pytester) -> None:
    """They cannot be compared, and the message names which is which."""
    own_pipeline.makepyfile(
        test_it="""
        import torch
        from pytest_diffopt import assert_images_similar

        def test_image():
            assert_images_similar(torch.randn(1, 16, 8, 8), torch.rand(1, 3, 64, 64))
        """
    )
    result = own_pipeline.runpytest_inprocess()

    result.assert_outcomes(failed=1)
    assert "diffopt: both results must be images, or both latents, got: latents and images" in result.outlines


ROUNDING_DECIDES = """
import pytest
import torch
from pytest_diffopt import ImageThresholds, assert_same_images

pytestmark = pytest.mark.diffopt(pipeline="sd15", recipe="bf16")

def growing(scheduler, factor):
    own = scheduler.step
    def step(noise, timestep, latents, **kwargs):
        stepped = own(noise, timestep, latents, **kwargs)[0]
        is_first = timestep == scheduler.timesteps[0]
        return (stepped * factor if is_first else torch.sin(stepped.float() * 200).to(stepped.dtype),)
    return step

def test_image(optimized_pipeline, reference_pipeline, pipeline_inputs, monkeypatch):
    for scheduler, factor in ((optimized_pipeline.scheduler, {factor}), (reference_pipeline.scheduler, 1.0)):
        monkeypatch.setattr(scheduler, "step", growing(scheduler, factor))
    thresholds = ImageThresholds({thresholds})
    assert_same_images(optimized_pipeline, reference_pipeline, thresholds=thresholds, **pipeline_inputs)
"""


def test_an_image_that_rounding_decides_is_inconclusive(project: pytest.Pytester) -> None:
    """Rounding moves the reference as far, and the error is no larger, so the test is skipped with that reason."""
    project.makepyfile(test_it=ROUNDING_DECIDES.format(factor=1.0, thresholds=""))
    result = project.runpytest_inprocess("-rs")

    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(
        [
            "SKIPPED * diffopt: rounding decides this image, so this comparison proves nothing",
            "  image 0: SSIM * (at least 0.94 required)",
            "  the latents of all 5 steps agree: the images differ after the last step",
            "  5 of 5 calls that only round reach half of the thresholds: SSIM 0.*, relative latent error *",
            "  rounding alone, bf16 in 5 calls: PSNR *, largest error *, relative latent error * (1.5 times allowed)",
            "seen in *sd15*, recipe bf16; pixel values are in [[]0, 1[]]",
            "test a call that is less sensitive to rounding: *",
            "images: *",
        ]
    )


def test_a_bug_fails_though_rounding_decides_the_image(project: pytest.Pytester) -> None:
    """Its error is present after the first step, before rounding can accumulate."""
    project.makepyfile(test_it=ROUNDING_DECIDES.format(factor=1.1, thresholds=""))
    result = project.runpytest_inprocess()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "  first difference in step 0 of 5: relative latent error 0.* (0.0* allowed), cosine *",
            "  rounding alone, bf16 in 5 calls: * (1.5 times allowed)",
        ]
    )


def test_lpips_of_the_rounded_reference_is_judged_too(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where LPIPS has the only threshold, it alone fails, and it alone shows that rounding decides."""
    fake_lpips.install(monkeypatch, tmp_path)
    wide = "min_ssim=-1, min_psnr_db=0, max_error=9, max_mean_error=9, max_flip=9, max_latent_error=9, max_lpips=1e-9"
    project.makepyfile(test_it=ROUNDING_DECIDES.format(factor=1.0, thresholds=wide))
    result = project.runpytest_inprocess("-rs")

    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(
        [
            "SKIPPED * diffopt: rounding decides this image, so this comparison proves nothing",
            "  image 0: LPIPS 0.* (1e-09 allowed)",
            "  5 of 5 calls that only round reach half of the thresholds: SSIM *",
        ]
    )


IN_HALF_PRECISION = """
import pytest
import torch
from pytest_diffopt import ImageThresholds, assert_same_images

def half_of_the_mask_lost(unet, sample, *args, **keywords):
    changed = sample.clone()
    changed[:1, 4:] = 0
    return type(unet).forward(unet, changed, *args, **keywords)

def rounded_coarsely(embedding, *args):
    return type(embedding).forward(embedding, *args).mul(2).round().div(2)

@pytest.mark.diffopt(pipeline={pipeline!r}, recipe="bf16 + sdpa + channels_last")
def test_image(optimized_pipeline, reference_pipeline, pipeline_inputs, monkeypatch):
    {inject}
    assert_same_images(optimized_pipeline, reference_pipeline, {thresholds}**pipeline_inputs)
"""
MASK_LOST = (
    "unet = optimized_pipeline.unet; "
    "monkeypatch.setattr(unet, 'forward', lambda *args, **keywords: half_of_the_mask_lost(unet, *args, **keywords))"
)
EMBEDDING_ROUNDED = (
    "embedding = optimized_pipeline.transformer.time_text_embed.timestep_embedder; "
    "monkeypatch.setattr(embedding, 'forward', lambda *args: rounded_coarsely(embedding, *args))"
)


@pytest.mark.parametrize(
    ("pipeline", "inject"),
    [("sd15-inpaint", MASK_LOST), ("flux", EMBEDDING_ROUNDED)],
    ids=["mask lost", "time embedding rounded"],
)
def test_an_error_beyond_that_of_rounding_fails(project: pytest.Pytester, pipeline: str, inject: str) -> None:
    """Within every fixed threshold; the same thresholds, set by the test, pass. The clean pipeline passes, too."""
    fixed = "thresholds=ImageThresholds(min_psnr_db=28, max_error=0.6, max_latent_error=0.12), "
    failed, wide, clean = (
        _run_in_half_precision(project, pipeline, inject=code, thresholds=thresholds)
        for code, thresholds in ((inject, ""), (inject, fixed), ("pass", ""))
    )

    failed.assert_outcomes(failed=1)
    failed.stdout.fnmatch_lines(
        [
            "  first difference in step 0 of 4: relative latent error * (0.0* allowed), cosine *",
            "  rounding alone, bf16 in 5 calls: PSNR * dB, largest error 0.*, relative latent error 0.0* "
            "(1.5 times allowed)",
        ],
        consecutive=True,
    )
    wide.assert_outcomes(passed=1)
    clean.assert_outcomes(passed=1)


def _run_in_half_precision(
    project: pytest.Pytester, pipeline: str, *, inject: str, thresholds: str
) -> pytest.RunResult:
    project.makepyfile(test_it=IN_HALF_PRECISION.format(pipeline=pipeline, inject=inject, thresholds=thresholds))
    return project.runpytest_inprocess()


def test_a_reference_that_cannot_run_in_half_precision_is_reported(own_pipeline: pytest.Pytester) -> None:
    """The fixed thresholds apply, and a failure shows why rounding was not measured."""
    own_pipeline.makepyfile(
        test_it="""
import small_pipeline
import torch
from pytest_diffopt import assert_same_images

class OnlyFloat32(small_pipeline.SmallPipeline):
    def step(self, latents, timestep, num_inference_steps):
        if latents.dtype != torch.float32:
            raise RuntimeError("this pipeline runs in float32 only")
        return super().step(latents, timestep, num_inference_steps)

def compare(optimized_pipeline, bias, inputs):
    optimized_pipeline.vae.conv.bias.data += bias
    assert_same_images(optimized_pipeline.to(torch.bfloat16), small_pipeline.build(pipeline=OnlyFloat32), **inputs)

def test_clean(pipeline_inputs):
    compare(small_pipeline.build(), 0, pipeline_inputs)

def test_image(pipeline_inputs):
    compare(small_pipeline.build(), 1, pipeline_inputs)
"""
    )
    result = own_pipeline.runpytest_inprocess()

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "  image 0: PSNR * dB (at least 28 dB required)",
            "  the effect of rounding was not measured: this pipeline runs in float32 only",
        ]
    )


def test_lpips_of_latents_is_an_error(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Otherwise the threshold would be ignored silently."""
    fake_lpips.install(monkeypatch, tmp_path)
    call = "thresholds=ImageThresholds(max_lpips=0.05), **(dict(pipeline_inputs) | {'output_type': 'latent'})"
    project.makepyfile(
        test_it=f"""
        import pytest
        from pytest_diffopt import ImageThresholds, assert_same_images

        @pytest.mark.diffopt(pipeline="sdxl", recipe="fp32 + channels_last")
        def test_image(optimized_pipeline, reference_pipeline, pipeline_inputs):
            assert_same_images(optimized_pipeline, reference_pipeline, {call})
        """
    )
    result = project.runpytest_inprocess()

    result.assert_outcomes(failed=1)
    assert (
        "diffopt: LPIPS needs images, got: latents; remove max_lpips, or let the pipeline return images"
    ) in result.outlines


OTHER_SCHEDULER = """
import pytest
from pytest_diffopt import assert_same_images

pytestmark = pytest.mark.diffopt(pipeline="sdxl", recipe=["fp32 + channels_last", {recipe!r}])

def test_image(optimized_pipeline, reference_pipeline, pipeline_inputs):
    {inject}
    assert_same_images(optimized_pipeline, reference_pipeline, **pipeline_inputs)

def test_schedulers(optimized_pipeline, reference_pipeline):
    assert type(optimized_pipeline.scheduler) is type(reference_pipeline.scheduler)
"""
DPM = 'scheduler(use="DPMSolverMultistepScheduler") + fp32 + channels_last'


def test_the_reference_has_the_scheduler_of_the_recipe(project: pytest.Pytester) -> None:
    """A different scheduler draws a different image; the rest of the recipe has float32's strict thresholds."""
    project.makepyfile(test_it=OTHER_SCHEDULER.format(recipe=DPM, inject="pass"))

    project.runpytest_inprocess().assert_outcomes(passed=4)


def test_a_bug_under_another_scheduler_fails(project: pytest.Pytester) -> None:
    """Its clean counterpart is the test before it."""
    inject = "optimized_pipeline.scheduler.register_to_config(solver_order=1)"
    project.makepyfile(test_it=OTHER_SCHEDULER.format(recipe=DPM, inject=inject))

    project.runpytest_inprocess("-k", "test_image and DPM").assert_outcomes(failed=1, deselected=3)
