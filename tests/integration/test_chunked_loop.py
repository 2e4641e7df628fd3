"""A pipeline that generates a video in chunks, each with a loop of its own: its steps have continuing numbers."""

import shutil
from pathlib import Path

import pytest

CASE = """
import pytest
import torch
from pytest_diffopt import assert_no_syncs, assert_same_images
from small_video_pipeline import SmallTransformer, SmallVideoPipeline, VideoOutput, build, inputs

STEPS, CHUNKS = 3, 2

class Chunked(SmallVideoPipeline):
    # Each chunk starts from new noise and the last frame of the chunk before it, as in an autoregressive model.
    late = ()

    @torch.no_grad()
    def __call__(self, generator=None):
        chunks, last = [], 0
        for chunk in range(CHUNKS):
            latents = torch.randn(1, 4, 4, 24, 24, generator=generator).to(self.device, self.dtype) + last
            self.scheduler.set_timesteps(STEPS, device=self.device)
            self.scheduler.set_begin_index(0)
            for number, timestep in self.steps(STEPS):
                denoiser = self.transformer if number == 0 or (chunk, number) in self.late else self.transformer_2
                velocity = denoiser(latents, timestep.to(latents.dtype))
                {in_step}
                latents = self.scheduler.step(velocity, timestep, latents, return_dict=False)[0].to(self.dtype)
            last = latents[:, :, -1:]
            chunks.append(self.vae.decode(latents).movedim(1, 2))
            {between}
        return VideoOutput(frames=torch.cat(chunks, 1).movedim(2, -1).float().cpu().numpy())

class ChunkedWithoutBar(Chunked):
    def steps(self, num_inference_steps):
        yield from enumerate(self.scheduler.timesteps)

KIND = {kind}

@pytest.fixture
def optimized_pipeline():
    return build(KIND)

def test_it(optimized_pipeline):
    {call}
"""
SYNCS = "assert_no_syncs(optimized_pipeline, **inputs())"
SAME = "other = build(KIND); {change}; assert_same_images(other, optimized_pipeline, **inputs())"

every_kind = pytest.mark.parametrize("kind", ["Chunked", "ChunkedWithoutBar"], ids=["with bars", "without bars"])


@pytest.fixture
def chunks(project: pytest.Pytester) -> pytest.Pytester:
    """Make a project with a pipeline that generates in chunks."""
    shutil.copy(Path(__file__).parent / "small_video_pipeline.py", project.path)
    return project


def run(
    project: pytest.Pytester, kind: str, call: str, *, in_step: str = "pass", between: str = "pass"
) -> pytest.RunResult:
    """Run one assertion."""
    project.makepyfile(test_it=CASE.format(kind=kind, call=call, in_step=in_step, between=between))
    return project.runpytest_inprocess("-v")


@every_kind
def test_chunks_without_a_fault_pass(chunks: pytest.Pytester, kind: str) -> None:
    """They never sync, and draw the video of an equal pipeline."""
    call = f"{SYNCS}; {SAME.format(change='pass')}"

    run(chunks, kind, call).assert_outcomes(passed=1)


@every_kind
def test_a_sync_in_the_second_chunk_is_in_its_step(chunks: pytest.Pytester, kind: str) -> None:
    """Steps 0-2 are those of the first chunk; the denoisers of each step are listed."""
    result = run(chunks, kind, SYNCS, in_step="if chunk == 1 and number == 1: velocity.sum().item()")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: the denoise loop synchronizes the CPU with the GPU: 1 sync per step (0 allowed)",
            "  1/step  .item()  test_it.py:*  in __call__  (read by the host)",
            "  *velocity.sum().item()",
            "  denoisers: step 0: transformer, steps 1-2: transformer_2, step 3: transformer, steps 4-5: transformer_2",
            "seen on the simulated GPU, step 4 of 6, *",
        ],
        consecutive=True,
    )


@every_kind
def test_a_sync_between_chunks_is_outside_of_the_loop(chunks: pytest.Pytester, kind: str) -> None:
    """There the decoded frames of a chunk are read, which no step waits for."""
    run(chunks, kind, SYNCS, between="chunks[-1].sum().item()").assert_outcomes(passed=1)


@every_kind
def test_a_boundary_that_is_late_in_the_second_chunk_is_in_its_step(chunks: pytest.Pytester, kind: str) -> None:
    """It is step 4 of 6, whose latents are still similar."""
    result = run(chunks, kind, SAME.format(change="other.late = ((1, 1),)"))

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: another denoiser ran than in the reference",
            "  step 4 ran transformer, and transformer_2 in the reference",
        ],
        consecutive=True,
    )
