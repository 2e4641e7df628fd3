"""The modules of any pipeline are found."""

from typing import Any

import pytest
from torch import nn

from pytest_diffopt.errors import PipelineError
from pytest_diffopt.pipelines.components import (
    component_names,
    denoiser_names,
    modules_of,
    schedulers_of,
    spatial_modules,
)

UNET, TRANSFORMER, VAE, CONTROLNET, ENCODER = (nn.Linear(1, 1) for _ in range(5))


class Pipeline:
    """A pipeline with these components."""

    def __init__(self, **components: Any) -> None:
        self.components = components


def test_the_modules_are_the_parts_that_have_parameters() -> None:
    """A tokenizer, a scheduler and an absent component are not modules."""
    pipeline = Pipeline(vae=VAE, tokenizer=object(), image_encoder=None, unet=UNET)

    assert modules_of(pipeline) == {"vae": VAE, "unet": UNET}


def test_a_bare_module_is_its_only_module() -> None:
    """Its name is its class name."""
    assert modules_of(UNET) == {"Linear": UNET}


def test_a_function_has_no_modules() -> None:
    """The result is empty for a bare callable."""
    assert modules_of(len) == {}


@pytest.mark.parametrize(("name", "module"), [("unet", UNET), ("transformer", TRANSFORMER)])
def test_the_denoiser_is_the_unet_or_the_transformer(name: str, module: nn.Module) -> None:
    """Either name is found."""
    assert denoiser_names(Pipeline(vae=VAE, **{name: module})) == (name,)


def test_a_pipeline_without_a_denoiser_is_an_error() -> None:
    """The message lists its modules."""
    with pytest.raises(PipelineError) as error:
        denoiser_names(Pipeline(vae=VAE, text_encoder=ENCODER))

    assert str(error.value) == "a pipeline must have a unet or a transformer, got Pipeline with: vae, text_encoder"


def test_spatial_modules_have_a_fixed_order() -> None:
    """The denoiser comes first, then the VAE and the ControlNet; text encoders are not included."""
    full = Pipeline(controlnet=CONTROLNET, text_encoder=ENCODER, vae=VAE, unet=UNET)

    assert list(spatial_modules(full).items()) == [("unet", UNET), ("vae", VAE), ("controlnet", CONTROLNET)]
    assert spatial_modules(Pipeline(transformer=TRANSFORMER)) == {"transformer": TRANSFORMER}


def test_a_chain_has_a_denoiser_in_each_stage() -> None:
    """Its components are numbered; `vae` refers to the only VAE."""
    chain = Pipeline(unet_1=UNET, tokenizer_1=object(), unet_2=TRANSFORMER, text_encoder_2=ENCODER, vae_2=VAE)

    assert denoiser_names(chain) == component_names(chain, "denoiser") == ("unet_1", "unet_2")
    assert component_names(chain, "vae") == ("vae_2",)
    assert list(spatial_modules(chain)) == ["unet_1", "unet_2", "vae_2"]


def test_a_full_name_refers_to_that_module_only() -> None:
    """`text_encoder` does not include `text_encoder_2`; an absent module has no name."""
    pipeline = Pipeline(text_encoder=ENCODER, text_encoder_2=VAE, unet=UNET)

    assert component_names(pipeline, "text_encoder") == ("text_encoder",)
    assert component_names(pipeline, "text_encoder_2") == ("text_encoder_2",)
    assert component_names(pipeline, "controlnet") == ()


def test_a_second_transformer_is_a_denoiser_too() -> None:
    """Some video pipelines use one transformer for the noisy steps and another for the rest."""
    assert denoiser_names(Pipeline(transformer=TRANSFORMER, transformer_2=UNET)) == ("transformer", "transformer_2")


def test_the_name_of_the_first_denoiser_refers_to_all_of_its_kind() -> None:
    """So that a recipe forgets none; a name with the number 1 refers to the first alone."""
    pipeline = Pipeline(transformer=TRANSFORMER, transformer_2=UNET, vae=VAE)

    assert component_names(pipeline, "transformer") == ("transformer", "transformer_2")
    assert component_names(pipeline, "transformer_1") == ("transformer",)
    assert component_names(pipeline, "transformer_2") == ("transformer_2",)
    assert component_names(pipeline, "vae_1") == ()


def test_a_prior_and_a_decoder_are_denoisers_if_they_take_a_timestep() -> None:
    """A VAE's decoder takes none."""

    class Denoiser(nn.Linear):
        def forward(self, sample: Any, timestep: Any) -> Any:  # type: ignore[override]
            return sample, timestep

    prior, decoder = Denoiser(1, 1), Denoiser(1, 1)

    assert denoiser_names(Pipeline(prior=prior, decoder=decoder, vqgan=VAE)) == ("prior", "decoder")
    assert denoiser_names(Pipeline(transformer=TRANSFORMER, decoder=VAE)) == ("transformer",)


def test_each_scheduler_is_returned_once() -> None:
    """The stages of a chain may share one; a module with a method `step` is none."""

    class Scheduler:
        def step(self) -> None:
            """Make a step."""

    one, other = Scheduler(), Scheduler()
    pipeline = Pipeline(scheduler_1=one, scheduler_2=one, audio_scheduler=other, unet=UNET, tokenizer=object())

    assert schedulers_of(pipeline) == {"scheduler_1": one, "audio_scheduler": other}
    assert schedulers_of(len) == {}
