"""Two processes draw together what one process draws; a process that differs, raises, dies or hangs fails the test."""

import os
import tempfile
from pathlib import Path

import pytest

TESTS = """
import os
import time
import pytest
import torch
from pytest_diffopt import assert_same_images_in_parallel
from pytest_diffopt.pipelines.flux import FLUX
from pytest_diffopt.pipelines.loading import build_pipeline
from pytest_diffopt.pipelines.scale import Scale
from torch.distributed import _functional_collectives as collectives

PROMPTS = ["a red circle", "a blue square on a green background, seen from far above"]
ODD = {"height": 40, "width": 72, "num_inference_steps": 2}
RANK = os.environ.get("DIFFOPT_PARALLEL_RANK", "")
IS_LAST = RANK == "1/2"
ULYSSES = pytest.mark.diffopt(pipeline="flux", recipe="context_parallel(ulysses=2)")

@pytest.fixture
def inputs(pipeline_inputs):
    return dict(pipeline_inputs) | {"num_inference_steps": 2}

@ULYSSES
def test_ulysses(reference_pipeline, inputs):
    assert_same_images_in_parallel(reference_pipeline, **inputs)

@ULYSSES
def test_faded(reference_pipeline, inputs):
    def fade(module, args, keywords):
        tokens = keywords["hidden_states"]
        return args, keywords | {"hidden_states": tokens * torch.linspace(1, 0.8, tokens.shape[1])[:, None]}
    reference_pipeline.transformer.register_forward_pre_hook(fade, with_kwargs=True)
    assert_same_images_in_parallel(reference_pipeline, **inputs)

@pytest.fixture
def own_pipeline():
    return build_pipeline(FLUX, Scale.TINY).pipeline

def test_own(own_pipeline):
    inputs = FLUX.inputs(Scale.TINY).varied("two steps", num_inference_steps=2)
    assert_same_images_in_parallel(own_pipeline, recipe="context_parallel(ulysses=2)", **inputs)

@pytest.mark.diffopt(pipeline="wan-t2v-1.3b", recipe="context_parallel(ulysses=2)")
def test_video(reference_pipeline, inputs):
    assert_same_images_in_parallel(reference_pipeline, **inputs)

@pytest.mark.diffopt(pipeline="flux", recipe="tensor_parallel")
def test_tensor(reference_pipeline, inputs):
    assert_same_images_in_parallel(reference_pipeline, **inputs)

@pytest.mark.diffopt(pipeline="qwen-image", recipe="context_parallel(ulysses=2, anything=True)")
def test_masks(reference_pipeline, inputs):
    seen = []
    def see(module, args, kwargs):
        mask = kwargs["encoder_hidden_states_mask"]
        seen.append((kwargs["hidden_states"].shape[1], mask is not None and not mask.all()))
    reference_pipeline.transformer.register_forward_pre_hook(see, with_kwargs=True)
    odd = inputs | ODD | {"prompt": PROMPTS, "negative_prompt": [" ", " "]}
    assert_same_images_in_parallel(reference_pipeline, **odd)
    assert (45, True) in seen

@pytest.mark.diffopt(pipeline="flux", recipe="context_parallel(ring=2)")
def test_ring(reference_pipeline, inputs):
    assert_same_images_in_parallel(reference_pipeline, **inputs)

@ULYSSES
def test_odd_without_anything(reference_pipeline, inputs):
    assert_same_images_in_parallel(reference_pipeline, **inputs | ODD)

@ULYSSES
def test_other_inputs(reference_pipeline, inputs):
    prompt = "a green square" if IS_LAST else inputs["prompt"]
    assert_same_images_in_parallel(reference_pipeline, **inputs | {"prompt": prompt})

@ULYSSES
def test_other_weights(reference_pipeline, inputs):
    if IS_LAST:
        reference_pipeline.transformer.proj_out.weight.data.mul_(1.5)
    assert_same_images_in_parallel(reference_pipeline, **inputs)

@ULYSSES
def test_lost_result(reference_pipeline, inputs, monkeypatch):
    exchange = collectives.all_to_all_single
    def lost(given, *args):
        exchange(given, *args)
        return given.clone()
    if IS_LAST:
        monkeypatch.setattr(collectives, "all_to_all_single", lost)
    assert_same_images_in_parallel(reference_pipeline, **inputs)

@ULYSSES
def test_nothing_done(reference_pipeline, inputs, monkeypatch):
    monkeypatch.setattr(type(reference_pipeline.transformer), "enable_parallelism", lambda self, config: None)
    assert_same_images_in_parallel(reference_pipeline, **inputs)

@ULYSSES
def test_raises(reference_pipeline, inputs):
    def decode(*args, **kwargs):
        raise ValueError("no memory is left\\nfor this process")
    if IS_LAST:
        reference_pipeline.vae.decode = decode
    assert_same_images_in_parallel(reference_pipeline, **inputs)

@ULYSSES
def test_dies(reference_pipeline, inputs):
    if IS_LAST:
        print("the last words", flush=True)
        os._exit(3)
    assert_same_images_in_parallel(reference_pipeline, **inputs)

@ULYSSES
def test_hangs(reference_pipeline, inputs):
    if IS_LAST:
        time.sleep(600)
    assert_same_images_in_parallel(reference_pipeline, **inputs)
"""


@pytest.fixture
def parallel(
    project: pytest.Pytester,
    warm_processes: None,  # noqa: ARG001 - it is for its effect
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> pytest.Pytester:
    """Make a project with the tests above, and a folder for temporary files that no other process uses."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("temporary")))
    project.makepyfile(test_it=TESTS)
    return project


def left_behind() -> tuple[set[Path], dict[str, str]]:
    """Return the temporary folders of parallel calls, and the environment."""
    environment = {name: text for name, text in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
    return set(Path(tempfile.gettempdir()).glob("diffopt-parallel-*")), environment


def run(parallel: pytest.Pytester, name: str, *options: str) -> pytest.RunResult:
    """Run one of the tests above; nothing is left behind, and no process has its folder as working folder."""
    before = left_behind()
    result = parallel.runpytest_inprocess("-v", "-W", "ignore", *options, f"test_it.py::test_{name}")
    (folders, environment), (folders_before, environment_before) = left_behind(), before

    assert folders <= folders_before
    assert environment == environment_before
    assert not running_in(parallel.path)
    return result


def running_in(folder: Path) -> list[str]:
    """Return the processes whose working folder is this one, but for the present process."""
    found = []
    for link in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if link.readlink() == folder and link.parent.name != str(os.getpid()):
                found.append(link.parent.name)
        except OSError:  # another user's, or one that has ended
            continue
    return found


ULYSSES = "context_parallel(ulysses=2)"
ANYTHING = "context_parallel(ulysses=2, anything=True)"
CLEAN = {
    "ulysses": (ULYSSES, ("42 collectives, 248 KiB",) * 2),
    "faded": (ULYSSES, ("42 collectives, 248 KiB",) * 2),
    "own": (ULYSSES, ("42 collectives, 248 KiB",) * 2),
    "video": (ULYSSES, ("68 collectives, 57.0 KiB",) * 2),
    "tensor": ("tensor_parallel", ("22 collectives, 168 KiB",) * 2),
    "masks": (ANYTHING, ("80 collectives, 261 KiB", "80 collectives, 252 KiB")),
}


@pytest.mark.parametrize("name", CLEAN)
def test_two_processes_draw_what_one_draws(parallel: pytest.Pytester, name: str) -> None:
    """With masks and odd numbers of tokens, too; collectives and their bytes are counted in each process."""
    recipe, figures = CLEAN[name]
    result = run(parallel, name)

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        [
            *(f"passed  images  *  rank {rank} of 2: SSIM 1.0000, PSNR *" for rank in range(2)),
            *(
                f"passed  effect  *  rank {rank} of 2: {recipe}: {figure} passed to them per step"
                for rank, figure in enumerate(figures)
            ),
            "4 verdicts: 4 passed",
        ]
    )


def test_what_the_cpu_cannot_run_is_skipped(parallel: pytest.Pytester) -> None:
    """Ring attention is neither passed nor failed."""
    result = run(parallel, "ring", "-rs")

    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(
        [
            "SKIPPED * context_parallel needs a GPU for ring: no attention kernel that diffusers uses on the CPU "
            "returns the log-sum-exp",
        ]
    )


@pytest.mark.parametrize("name", ["other_inputs", "other_weights", "lost_result"])
def test_a_process_that_computes_something_else_fails(parallel: pytest.Pytester, name: str) -> None:
    """The image of each process is compared with that of one process."""
    result = run(parallel, name)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: 1 of 1 image differs from the reference",
            "  also in rank 1 of 2",
            "  image 0: PSNR * dB (at least 80 dB required)",
            f"seen in rank 0 of 2, pipeline flux (tiny, weights: pretrained), recipe {ULYSSES}; pixel values *",
        ]
    )


FAILING = {
    "odd_without_anything": [
        f"diffopt: rank [01] of 2 raised before it answered: {ULYSSES} must divide the number of tokens that the call "
        "gives to the denoiser: choose another size or length, or anything=True",
    ],
    "nothing_done": [
        "diffopt: 1 of 1 optimization has no effect, or not everywhere",
        f"  {ULYSSES}: 0 collectives",
        f"seen in one call on the CPU, rank 0 of 2, pipeline flux (tiny, weights: pretrained), recipe {ULYSSES}",
        "fix how it is applied or how the pipeline is called, or remove it from the recipe",
    ],
    "raises": [
        "diffopt: rank 1 of 2 raised before it answered: ValueError: no memory is left for this process "
        "(test_it.py:[0-9][0-9], in decode)",
    ],
    "dies": [
        "diffopt: rank 1 of 2 ended before the call (exit status 3); its last output:",
        "*",
        "  the test must run alone and build its pipeline itself or in its fixtures:",
        "  *-m pytest *test_it.py::test_dies[[]flux]*",
    ],
}


@pytest.mark.parametrize("name", FAILING)
def test_a_failure_is_explained(parallel: pytest.Pytester, name: str) -> None:
    """By its own error, in one sentence."""
    result = run(parallel, name)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(FAILING[name])


def test_a_process_that_hangs_is_ended(parallel: pytest.Pytester) -> None:
    """The other waits for it, so that both are named."""
    result = run(parallel, "hangs", "--diffopt-worker-timeout=3")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["diffopt: rank 0 of 2 and rank 1 of 2 did not answer within 3 s (--diffopt-worker-timeout): all were ended"]
    )
