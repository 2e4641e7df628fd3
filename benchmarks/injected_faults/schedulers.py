"""Faults of schedulers: sigmas, timesteps, spacing, prediction types, history."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from diffusers.pipelines.stable_diffusion_xl import pipeline_stable_diffusion_xl
from diffusers.schedulers import DDIMScheduler, EulerDiscreteScheduler

from benchmarks.injected_faults.declaring import FUSED, InjectedFault, Injection, configured, replaced, wrapped


def _sigmas_changed(change: Any) -> Injection:
    """Change the sigmas after each `set_timesteps` of Euler's scheduler."""

    def around(set_timesteps: Any, self: Any, *args: Any, **keywords: Any) -> None:
        set_timesteps(self, *args, **keywords)
        self.sigmas = change(self.sigmas)

    def inject(_pipeline: Any) -> AbstractContextManager[Any]:
        return wrapped(EulerDiscreteScheduler, "set_timesteps", around)

    return inject


def _one_index_back(sigmas: torch.Tensor) -> torch.Tensor:
    return torch.cat([sigmas[:1], sigmas[:-2], sigmas[-1:]])


def _rounded(sigmas: torch.Tensor) -> torch.Tensor:
    return sigmas.to(torch.bfloat16).to(torch.float32)


def _without_the_last(retrieve: Any, *args: Any, **keywords: Any) -> Any:
    timesteps, number = retrieve(*args, **keywords)
    return timesteps[:-1], number - 1


def _unscaled(scale_model_input: Any, self: Any, sample: Any, *args: Any, **keywords: Any) -> Any:
    scale_model_input(self, sample, *args, **keywords)
    return sample


def _one_training_step_back(step: Any, self: Any, *args: Any, **keywords: Any) -> Any:
    with replaced(self, "num_inference_steps", self.config.num_train_timesteps):
        return step(self, *args, **keywords)


def _linear_betas(pipeline: Any) -> AbstractContextManager[Any]:
    config = pipeline.scheduler.config
    betas = torch.linspace(config.beta_start, config.beta_end, config.num_train_timesteps)
    return replaced(pipeline.scheduler, "alphas_cumprod", torch.cumprod(1 - betas, dim=0))


def _history_kept(*names: str) -> Injection:
    """Keep a multistep scheduler's history from one call to the next."""

    def around(set_timesteps: Any, *args: Any, **keywords: Any) -> None:
        owner = set_timesteps.__self__
        before = {name: getattr(owner, name) for name in names}
        set_timesteps(*args, **keywords)
        for name, value in before.items():
            setattr(owner, name, value)

    @contextmanager
    def inject(pipeline: Any) -> Iterator[None]:
        pipeline.scheduler.set_timesteps(1)  # clears the history of earlier calls
        with wrapped(pipeline.scheduler, "set_timesteps", around):
            yield

    return inject


@contextmanager
def _without_shift(pipeline: Any) -> Iterator[None]:
    before = pipeline.scheduler.shift
    pipeline.scheduler.set_shift(1.0)
    try:
        yield
    finally:
        pipeline.scheduler.set_shift(before)


def _previous_output_forgotten(step: Any, *args: Any, **keywords: Any) -> Any:
    scheduler = step.__self__
    scheduler.lower_order_nums = 0
    return step(*args, **keywords)


FAULTS: tuple[InjectedFault, ...] = (
    InjectedFault(
        name="wrong-sigma-index",
        imitates="each step uses the previous step's sigma",
        inject=_sigmas_changed(_one_index_back),
    ),
    InjectedFault(
        name="sigmas-in-bfloat16",
        imitates="the sigmas are rounded to the model's dtype",
        inject=_sigmas_changed(_rounded),
    ),
    InjectedFault(
        name="one-step-too-few",
        imitates="the last timestep is omitted",
        inject=lambda _pipeline: wrapped(pipeline_stable_diffusion_xl, "retrieve_timesteps", _without_the_last),
    ),
    InjectedFault(
        name="model-input-unscaled",
        imitates="scale_model_input() is called and its result is discarded",
        inject=lambda _pipeline: wrapped(EulerDiscreteScheduler, "scale_model_input", _unscaled),
    ),
    InjectedFault(
        name="first-noise-unscaled",
        imitates="init_noise_sigma is assumed to be 1",
        inject=lambda _pipeline: replaced(EulerDiscreteScheduler, "init_noise_sigma", property(lambda _self: 1.0)),
    ),
    InjectedFault(
        name="last-sigma-not-zero",
        imitates="final_sigmas_type is lost, so some noise remains in the image",
        inject=lambda pipeline: configured(pipeline.scheduler, final_sigmas_type="sigma_min"),
    ),
    InjectedFault(
        name="timestep-spacing-lost",
        imitates="from_config() drops timestep_spacing, so other timesteps are used",
        inject=lambda pipeline: configured(pipeline.scheduler, timestep_spacing="linspace"),
    ),
    InjectedFault(
        name="steps-offset-lost",
        imitates="steps_offset is 0, but the model was published with 1",
        inject=lambda pipeline: configured(pipeline.scheduler, steps_offset=0),
    ),
    InjectedFault(
        name="prediction-type-confused",
        imitates="predicted noise is interpreted as velocity",
        inject=lambda pipeline: configured(pipeline.scheduler, prediction_type="v_prediction"),
    ),
    InjectedFault(
        name="beta-schedule-lost",
        imitates="betas are linear, but the model was trained with scaled_linear",
        inject=_linear_betas,
    ),
    InjectedFault(
        name="previous-timestep-of-training",
        imitates="DDIM goes back one training step instead of one inference step",
        pipeline="sd15-inpaint",
        inject=lambda _pipeline: wrapped(DDIMScheduler, "step", _one_training_step_back),
    ),
    InjectedFault(
        name="pndm-history-kept",
        imitates="PNDM starts a call with the previous call's counter and outputs",
        precedent="replicate/cog-stable-diffusion#9",
        pipeline="sd15",
        inject=_history_kept("ets", "counter"),
    ),
    InjectedFault(
        name="dpm-history-kept",
        imitates="DPM-Solver++ starts a call with the previous call's model outputs",
        precedent="huggingface/diffusers#8711",
        # with a last sigma of 0, the first step gives no weight to the history
        recipe=f'scheduler(use="DPMSolverMultistepScheduler", options={{"final_sigmas_type": "sigma_min"}}) + {FUSED}',
        inject=_history_kept("model_outputs", "lower_order_nums"),
    ),
    InjectedFault(
        name="dpm-order-lost",
        imitates="DPM-Solver++ drops its earlier output and stays at first order",
        recipe=f'scheduler(use="DPMSolverMultistepScheduler") + {FUSED}',
        inject=lambda pipeline: wrapped(pipeline.scheduler, "step", _previous_output_forgotten),
    ),
    InjectedFault(
        name="flow-shift-lost",
        imitates="the flow's shift of 3 is not read from the configuration",
        pipeline="sd3",
        inject=_without_shift,
    ),
)
