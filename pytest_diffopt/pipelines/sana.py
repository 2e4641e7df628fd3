"""SANA 1.6B: linear attention, and a deep-compression autoencoder with 32 pixels per latent."""

from pytest_diffopt.pipelines.blueprint import Blueprint, Tokenizer, published_parts
from pytest_diffopt.pipelines.blueprint_family import blueprint_family

_CALL = {"guidance_scale": 4.5, "complex_human_instruction": None, "use_resolution_binning": False}

SANA = blueprint_family(
    "sana",
    blueprint=Blueprint(
        class_name="SanaPipeline",
        parts=published_parts("Sana_1600M_1024px", "sana", "transformer", "vae", "text_encoder"),
        tokenizers={"tokenizer": Tokenizer.GEMMA},
    ),
    hub_id="Efficient-Large-Model/Sana_1600M_1024px_diffusers",
    tiny_call=_CALL | {"max_sequence_length": 64},
    full_call=_CALL
    | {
        "prompt": "a cyberpunk cat with a neon sign",
        "height": 1024,
        "width": 1024,
        "num_inference_steps": 20,
        "max_sequence_length": 300,
    },
)
