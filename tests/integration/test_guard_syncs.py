"""A sync in the denoise loop fails without a GPU, with its file, line, step and frequency."""

import pytest

SYNCS = """
import pytest
import small_pipeline
from pytest_diffopt import AllowedSyncs, assert_no_syncs, no_syncs

class Pipeline(small_pipeline.SmallPipeline):
    def step(self, latents, timestep, num_inference_steps):
        {line}
        return super().step(latents, timestep, num_inference_steps)

@pytest.fixture
def optimized_pipeline():
    return small_pipeline.build(pipeline=Pipeline)

def test_never_syncs(optimized_pipeline, pipeline_inputs):
    assert_no_syncs(optimized_pipeline, allow_syncs=[{allowance}], **pipeline_inputs)
"""
READS = "largest = latents.abs().max().item()"
ALLOWED = 'AllowedSyncs(where="test_it.py:step", per_step={count}, reason="the loop stops early")'


def run(project: pytest.Pytester, line: str, allowance: str = "") -> pytest.RunResult:
    """Run one test of a pipeline whose step begins with a line."""
    project.makepyfile(test_it=SYNCS.format(line=line, allowance=allowance))
    return project.runpytest_inprocess("--tb=short")


def test_a_loop_that_never_syncs_passes(own_pipeline: pytest.Pytester) -> None:
    """Arithmetic on the GPU is queued without a sync."""
    result = run(own_pipeline, "latents = latents * 1.0")

    result.assert_outcomes(passed=1)


def test_a_read_in_each_step_fails(own_pipeline: pytest.Pytester) -> None:
    """The user's own line, how often per step, and the allowance to copy."""
    result = run(own_pipeline, READS)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: the denoise loop synchronizes the CPU with the GPU: 1 sync per step (0 allowed)",
            "  1/step  .item()  test_it.py:7  in step  (read by the host)",
            "                   largest = latents.abs().max().item()",
            "seen on the simulated GPU, steps 0-2 of 3, pipeline Pipeline (weights: the user's own)",
            'to accept this: allow_syncs=[[]AllowedSyncs(where="test_it.py:step", per_step=1, reason="...")]',
        ],
        consecutive=True,
    )


def test_a_sync_in_the_first_step_fails(own_pipeline: pytest.Pytester) -> None:
    """In every call; it is distinguished from a sync in every step."""
    line = "first = timestep.item() if getattr(self, 'n', 0) % 3 == 0 else 0; self.n = getattr(self, 'n', 0) + 1"
    result = run(own_pipeline, line)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: the denoise loop synchronizes the CPU with the GPU: 1 sync in the first step (0 allowed)",
            "  1 in step 0  .item()  test_it.py:7  in step  (read by the host)",
            "                        first = timestep.item() *",
            "seen on the simulated GPU, step 0 of 3, pipeline Pipeline (weights: the user's own)",
            'to accept this: allow_syncs=[[]AllowedSyncs(where="test_it.py:step", per_step=0, first_step=1, '
            'reason="...")]',
        ],
        consecutive=True,
    )


def test_an_allowed_sync_passes(own_pipeline: pytest.Pytester) -> None:
    """An allowance covers the function that it names, up to its limit."""
    result = run(own_pipeline, READS, ALLOWED.format(count=1))

    result.assert_outcomes(passed=1)


def test_one_sync_more_than_allowed_fails(own_pipeline: pytest.Pytester) -> None:
    """An allowance is a number: one more in the same function fails."""
    result = run(own_pipeline, "largest = latents.max().item() + latents.min().item()", ALLOWED.format(count=1))

    result.assert_outcomes(failed=1)
    headline = "diffopt: the denoise loop synchronizes the CPU with the GPU: 2 syncs per step (1 allowed)"
    result.stdout.fnmatch_lines([headline])


def test_an_unused_allowance_fails(own_pipeline: pytest.Pytester) -> None:
    """A fixed sync could return unnoticed under an allowance that stayed."""
    result = run(own_pipeline, "latents = latents * 1.0", ALLOWED.format(count=1))

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: 1 sync allowance is no longer needed",
            "  test_it.py:step no longer synchronizes; remove the allowance (its reason: the loop stops early)",
            "seen on the simulated GPU, pipeline Pipeline (weights: the user's own)",
            "remove or lower it in allow_syncs, so that the sync cannot return unnoticed",
        ],
        consecutive=True,
    )


def test_an_allowance_larger_than_needed_fails(own_pipeline: pytest.Pytester) -> None:
    """Fewer syncs are an improvement that must be kept."""
    result = run(own_pipeline, READS, ALLOWED.format(count=2))

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["  test_it.py:step synchronizes less often: 1/step (2 allowed)"])


def test_a_sync_outside_the_loop_passes(own_pipeline: pytest.Pytester) -> None:
    """The image is copied to the host after the last step."""
    own_pipeline.makepyfile(
        test_it="""
        from pytest_diffopt import no_syncs

        def test_block(optimized_pipeline, pipeline_inputs):
            with no_syncs(optimized_pipeline) as seen:
                largest = optimized_pipeline(**pipeline_inputs).images.max().item()
            assert seen.record.num_steps == 3
        """
    )
    result = own_pipeline.runpytest_inprocess()

    result.assert_outcomes(passed=1)


@pytest.mark.parametrize(("body", "outcome"), [("x * 2", "passed"), ("x * float(x.sum())", "failed")])
def test_a_bare_callable_is_watched_as_one_step(project: pytest.Pytester, body: str, outcome: str) -> None:
    """A function or module has no loop: the whole call counts, and its tensors are moved."""
    project.makepyfile(
        test_it=f"""
        import torch
        from pytest_diffopt import assert_no_syncs

        def scale(x):
            return {body}

        def test_callable():
            assert_no_syncs(scale, torch.ones(4))

        def test_module():
            class Scale(torch.nn.Linear):
                def forward(self, x):
                    return scale(super().forward(x))
            assert_no_syncs(Scale(4, 4), torch.ones(1, 4))
        """
    )
    result = project.runpytest_inprocess("--tb=short")

    result.assert_outcomes(**{outcome: 2})


def test_a_pipeline_without_a_loop_is_an_error(own_pipeline: pytest.Pytester) -> None:
    """Without a step nothing was checked."""
    own_pipeline.makepyfile(
        test_it="""
        from pytest_diffopt import assert_no_syncs

        def test_it(optimized_pipeline, pipeline_inputs, monkeypatch):
            monkeypatch.setattr(type(optimized_pipeline), "__call__", lambda self, **inputs: None)
            assert_no_syncs(optimized_pipeline, **pipeline_inputs)
        """
    )
    result = own_pipeline.runpytest_inprocess("--tb=short")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: no denoise loop: SmallPipeline never opened pipeline.progress_bar(...): "
            "open it around the loop, or pass a callable that is one step"
        ]
    )


FILLS_A_CACHE = """
import pytest, small_pipeline, torch
from pytest_diffopt import assert_no_syncs

class UNet(small_pipeline.SmallUNet):
    tables = {{}}

    def forward(self, latents, timestep):
        device = latents.device
        if device not in self.tables:
            self.tables[device] = torch.ones(1).to(device)
        {line}
        return super().forward(latents, timestep) * self.tables[device]

@pytest.fixture
def optimized_pipeline():
    return small_pipeline.build(UNet)

def test_it(optimized_pipeline, pipeline_inputs):
    assert_no_syncs(optimized_pipeline, **pipeline_inputs)
"""


def test_a_sync_that_fills_a_cache_is_none_of_the_loop(own_pipeline: pytest.Pytester) -> None:
    """A second call does not have it, so it passes, and the summary reports it."""
    own_pipeline.makepyfile(test_it=FILLS_A_CACHE.format(line=""))
    result = own_pipeline.runpytest_inprocess("-v")

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["passed  syncs  SmallPipeline*0 syncs in 3 steps; 1 in the first call only"])


def test_a_sync_of_every_first_step_fails_beside_it(own_pipeline: pytest.Pytester) -> None:
    """Each call synchronizes in its first step: that is the loop's, and the cache is listed apart."""
    line = "first = UNet.calls % 3 == 0; UNet.calls += 1; first and latents.sum().item()"
    text = FILLS_A_CACHE.format(line=line).replace("    tables = {}", "    tables = {}\n    calls = 0")
    own_pipeline.makepyfile(test_it=text)
    result = own_pipeline.runpytest_inprocess("-v")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: the denoise loop synchronizes the CPU with the GPU: 1 sync in the first step (0 allowed)",
            "  1 in step 0  .item()  test_it.py:12  in forward  (read by the host)",
            "                        first = UNet.calls % 3 == 0; *",
            "  in the first call only, which fills a cache: 1 sync at test_it.py:11  in forward",
            "seen on the simulated GPU, step 0 of 3, pipeline SmallPipeline (weights: the user's own)",
            'to accept this: allow_syncs=[[]AllowedSyncs(where="test_it.py:forward", per_step=0, first_step=1, *',
        ],
        consecutive=True,
    )
