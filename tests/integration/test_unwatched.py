"""A guard that watched nothing fails: without evidence on the watched device there is no pass."""

import pytest

HOLDS_ITS_TENSORS = """
import functools
import torch
from pytest_diffopt import assert_no_syncs

hidden = torch.ones(4)

def closure():
    return hidden.sum().item()

class Model:
    def run(self):
        return hidden.sum().item()

def of_argument(value):
    return value.sum().item()

def no_tensor():
    return 1 + 1
"""
HEADLINE = "diffopt: no operation of the call ran on the simulated GPU: nothing was watched"


@pytest.mark.parametrize(
    "target", ["closure", "Model().run", "functools.partial(of_argument, hidden)", "no_tensor"], ids=str
)
def test_a_callable_that_holds_its_tensors_is_unwatched(project: pytest.Pytester, target: str) -> None:
    """Its `.item()` runs on the CPU, where no sync can be seen, so it must not pass."""
    project.makepyfile(test_it=f"{HOLDS_ITS_TENSORS}\ndef test_it():\n    assert_no_syncs({target})\n")
    result = project.runpytest_inprocess()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            HEADLINE,
            "seen in pipeline * (weights: the user's own)",
            "the call must compute on the device of its pipeline: pass its tensors as arguments *",
            "unwatched  syncs  *no operation of the call ran on the simulated GPU: nothing was watched",
            "1 verdict: 1 unwatched",
        ]
    )


def test_the_same_callable_with_its_tensor_as_argument_is_watched(project: pytest.Pytester) -> None:
    """The clean counterpart: the sync is seen with its line."""
    project.makepyfile(test_it=f"{HOLDS_ITS_TENSORS}\ndef test_it():\n    assert_no_syncs(of_argument, hidden)\n")
    result = project.runpytest_inprocess()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["  1 in step 0  .item()  test_it.py:* in of_argument  (read by the host)"])


FIXED_DEVICE = """
import torch
from small_pipeline import SmallPipeline, SmallUNet, SmallVAE

class OnTheCpu(SmallPipeline):
    def __call__(self, *args, **more):
        for module in (self.unet, self.vae):
            module.to("cpu")
        self._execution_device_fixed = torch.device("cpu")
        return super().__call__(*args, **more)

    @property
    def _execution_device(self):
        return torch.device("cpu")

    @property
    def device(self):
        return torch.device("cpu")

def build():
    return OnTheCpu(unet=SmallUNet(), vae=SmallVAE())
"""


@pytest.mark.parametrize("gate", ["count_baseline", "memory_baseline"])
def test_a_baseline_without_operations_is_never_accepted(project: pytest.Pytester, gate: str) -> None:
    """With permission to write, too: a file of zeros would guard nothing."""
    project.makepyfile(
        test_it=f"""
        def double(value=2):
            return 2 * value

        def test_it({gate}):
            {gate}.check(double)
        """
    )
    result = project.runpytest_inprocess("--diffopt-update", "missing")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["diffopt: no operation of the call ran on *: nothing was watched"])
    assert not (project.path / "baselines").exists()


@pytest.mark.parametrize("gate", ["count_baseline", "memory_baseline"])
def test_a_baseline_with_operations_is_accepted(project: pytest.Pytester, gate: str) -> None:
    """The clean counterpart."""
    project.makepyfile(
        test_it=f"""
        import torch

        def test_it({gate}):
            {gate}.check(torch.nn.Linear(2, 2), torch.ones(1, 2))
        """
    )
    result = project.runpytest_inprocess("--diffopt-update", "missing")

    result.assert_outcomes(passed=1)
    assert len(list((project.path / "baselines").rglob("*.json"))) == 1


UNKNOWN_HOOK = """
import torch
from accelerate.hooks import ModelHook, add_hook_to_module
from pytest_diffopt import assert_no_syncs

class ToTheHost(ModelHook):
    def __init__(self, device):
        self.execution_device = device

    def pre_forward(self, module, *args, **kwargs):
        module.to(self.execution_device)
        return [one.to(self.execution_device) for one in args], kwargs

class Model(torch.nn.Linear):
    def forward(self, x):
        return super().forward(x).max().item()

def test_it():
    model = Model(8, 8)
    HOOK
    assert_no_syncs(model, torch.ones(1, 8))
"""


def test_a_hook_that_cannot_be_aimed_is_refused_in_one_line(project: pytest.Pytester) -> None:
    """It would run its module on the CPU while the simulated GPU watches nothing."""
    hooked = UNKNOWN_HOOK.replace("HOOK", 'add_hook_to_module(model, ToTheHost(torch.device("cpu")))')
    project.makepyfile(test_it=hooked)
    result = project.runpytest_inprocess()

    result.assert_outcomes(failed=1)
    assert (
        "diffopt: these hooks move their modules in every call and cannot be aimed at the simulated GPU: "
        "Model (test_it.ToTheHost); build the pipeline without them for this test"
    ) in result.outlines


def test_the_same_module_without_the_hook_is_watched(project: pytest.Pytester) -> None:
    """The clean counterpart: the sync is seen."""
    project.makepyfile(test_it=UNKNOWN_HOOK.replace("HOOK", "pass"))
    result = project.runpytest_inprocess()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["  1 in step 0  .item()  test_it.py:* in forward  (read by the host)"])


def test_a_pipeline_that_fixes_its_device_is_unwatched(project: pytest.Pytester) -> None:
    """It moves itself back to the CPU in every call; the loop runs, but not on the simulated GPU."""
    project.makepyfile(
        test_it=f"""
{FIXED_DEVICE}
from pytest_diffopt import PipelineInputs, assert_no_syncs

def test_it():
    assert_no_syncs(build(), **PipelineInputs({{"prompt": "a"}}))
"""
    )
    result = project.runpytest_inprocess()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["diffopt: no operation of the denoise loop ran on the simulated GPU: nothing was watched"]
    )


CACHED = """
from contextlib import contextmanager
import numpy as np
from pytest_diffopt import PipelineInputs, assert_repeatable

PLAIN = PipelineInputs({"prompt": "a red circle"})
LEFT_BEHIND = LEFT

class Pipeline:
    def __init__(self):
        self.components, self.cache, self.caching = {}, 0.0, False

    def __call__(self, prompt, generator=None):
        image = np.full((1, 8, 8, 3), len(prompt) / 100 + self.cache, dtype=np.float32)
        self.cache += LEFT_BEHIND if self.caching else 0.0
        return image

@contextmanager
def cached(pipeline):
    pipeline.caching = True
    yield
    pipeline.caching = False

def test_it():
    assert_repeatable(Pipeline(), after=[PLAIN.within("cached", cached)], **PLAIN)
"""


@pytest.mark.parametrize(("left", "outcome"), [("0.25", "failed"), ("0.0", "passed")])
def test_a_call_within_a_change_is_made(project: pytest.Pytester, left: str, outcome: str) -> None:
    """What the change leaves behind is found; without a remainder the test passes."""
    project.makepyfile(test_it=CACHED.replace("= LEFT\n", f"= {left}\n"))
    result = project.runpytest_inprocess()

    result.assert_outcomes(**{outcome: 1})


ELSEWHERE = """
import torch
from small_pipeline import SmallPipeline, SmallUNet, SmallVAE
from pytest_diffopt import PipelineInputs, assert_no_syncs

INPUTS = PipelineInputs({"prompt": "a"})

class Engine(SmallUNet):
    # computes where its weights were converted, and returns to the device of its inputs
    def __init__(self):
        super().__init__()
        self.engine = [SmallUNet()]

    def forward(self, latents, timestep):
        return self.engine[0](latents.cpu(), timestep.cpu()).to(latents.device)

class OnTheHost(SmallUNet):
    # a model of a team that manages its devices itself
    def forward(self, latents, timestep):
        device = latents.device
        self.to("cpu")
        return super().forward(latents.cpu(), timestep.cpu()).to(device)

class OnTheDevice(Engine):
    # the clean counterpart: also an unregistered model, but on the device of its inputs
    def forward(self, latents, timestep):
        self.engine[0].to(latents.device)
        return self.engine[0](latents, timestep)

class EveryOtherStep(SmallPipeline):
    # a cache that skips the denoiser
    def step(self, latents, timestep, num_inference_steps):
        self.skips = not getattr(self, "skips", True)
        return latents * 0.9 if self.skips else super().step(latents, timestep, num_inference_steps)

class AnotherModel(SmallPipeline):
    def step(self, latents, timestep, num_inference_steps):
        return latents - torch.nn.functional.silu(latents)

def build(unet=SmallUNet, pipeline=SmallPipeline):
    return pipeline(unet=unet(), vae=SmallVAE())
"""
_GATES = ["count_baseline", "memory_baseline"]


def test_syncs_of_a_denoiser_on_another_device_are_unwatched(project: pytest.Pytester) -> None:
    """The scheduler runs on the watched device, but the loop is more than that."""
    project.makepyfile(test_it=f"{ELSEWHERE}\ndef test_it():\n    assert_no_syncs(build(Engine), **INPUTS)\n")
    result = project.runpytest_inprocess()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: no operation of the denoiser ran on the simulated GPU in the denoise loop: its operations were "
            "not watched",
            "  unet: weights on the simulated GPU, but computed elsewhere",
            "  operations of unet per step: 0, 0, 0",
            "seen in pipeline SmallPipeline (weights: the user's own)",
            "the call must compute on the device of its pipeline: pass its tensors as arguments instead of holding "
            "them elsewhere, and do not move the models or latents to a fixed device",
        ],
        consecutive=True,
    )


def test_the_device_of_a_denoiser_on_the_host_is_shown(project: pytest.Pytester) -> None:
    """It moved its weights in each call."""
    project.makepyfile(test_it=f"{ELSEWHERE}\ndef test_it():\n    assert_no_syncs(build(OnTheHost), **INPUTS)\n")
    result = project.runpytest_inprocess()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["  unet: weights on cpu"])


@pytest.mark.parametrize("gate", _GATES)
def test_a_baseline_without_the_denoiser_is_never_accepted(project: pytest.Pytester, gate: str) -> None:
    """With permission to write, too."""
    project.makepyfile(test_it=f"{ELSEWHERE}\ndef test_it({gate}):\n    {gate}.check(build(Engine), **INPUTS)\n")
    result = project.runpytest_inprocess("--diffopt-update", "missing")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["diffopt: no operation of the denoiser ran on the simulated * in the denoise loop: *"])
    assert not (project.path / "baselines").exists()


def test_a_denoiser_that_is_never_called_is_unwatched(project: pytest.Pytester) -> None:
    """Something else computes the steps."""
    code = f"{ELSEWHERE}\ndef test_it():\n    assert_no_syncs(build(pipeline=AnotherModel), **INPUTS)\n"
    project.makepyfile(test_it=code)
    result = project.runpytest_inprocess()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: the denoiser was never called in the denoise loop: its operations were not watched",
            "  the pipeline has unet",
            "seen in pipeline AnotherModel (weights: the user's own)",
            "the loop must call the pipeline's denoiser as a module (unet(...)), not one of its methods or another "
            "model",
        ],
        consecutive=True,
    )


@pytest.mark.parametrize("built", ["build()", "build(OnTheDevice)", "build(pipeline=EveryOtherStep)"])
def test_a_denoiser_on_the_watched_device_is_evidence(project: pytest.Pytester, built: str) -> None:
    """The clean counterparts: registered, unregistered, and skipped in some steps."""
    project.makepyfile(
        test_it=f"""
{ELSEWHERE}
def test_syncs():
    assert_no_syncs({built}, **INPUTS)

def test_counts(count_baseline):
    count_baseline.check({built}, **INPUTS)

def test_memory(memory_baseline):
    memory_baseline.check({built}, **INPUTS)
"""
    )
    result = project.runpytest_inprocess("--diffopt-update", "missing")

    result.assert_outcomes(passed=3)
