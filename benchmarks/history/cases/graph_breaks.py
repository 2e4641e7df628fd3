"""Models with graph breaks."""

from collections.abc import Callable, Mapping
from typing import Any

import diffusers
import torch
from torch import nn

from pytest_diffopt.guards.compilation import judge_graph_breaks
from pytest_diffopt.guards.verdict import Verdict
from pytest_diffopt.probes.compilation import watch_warmup
from pytest_diffopt.probes.compile_log import CompileLog
from pytest_diffopt.records import Device, Subject


def watch(name: str) -> Verdict:
    """Compile a model and call it once.

    The backend is `eager`: graph breaks depend only on Dynamo, and torch 2.13's `aot_eager` fails for this VAE on CPU.
    """
    torch.manual_seed(0)
    model, inputs = _MODELS[name]()
    compiled = torch.compile(model.eval(), backend="eager")
    with CompileLog() as log, torch.no_grad():
        subject = Subject(pipeline=name, scale="tiny", recipe="compile", device=Device.CPU)
        record = watch_warmup(log, log.mark(), lambda: compiled(**inputs), subject)
    return judge_graph_breaks(record)


def _hunyuan_video() -> tuple[nn.Module, Mapping[str, Any]]:
    transformer = diffusers.HunyuanVideoTransformer3DModel(
        in_channels=4,
        out_channels=4,
        num_attention_heads=2,
        attention_head_dim=10,
        num_layers=1,
        num_single_layers=1,
        num_refiner_layers=1,
        patch_size=1,
        patch_size_t=1,
        guidance_embeds=True,
        text_embed_dim=16,
        pooled_projection_dim=8,
        rope_axes_dim=(2, 4, 4),
    )
    inputs = {
        "hidden_states": torch.randn(1, 4, 1, 4, 4),
        "timestep": torch.tensor([1]),
        "encoder_hidden_states": torch.randn(1, 8, 16),
        "encoder_attention_mask": torch.ones(1, 8, dtype=torch.bool),
        "pooled_projections": torch.randn(1, 8),
        "guidance": torch.tensor([6.0]),
    }
    return transformer, inputs


class _VaeWithDtype(nn.Module):
    """A VAE's decoder that reads the dtype of its weights, as diffusers' decoder did until #12512."""

    def __init__(self, dtype_of: Callable[[torch.Tensor], torch.dtype]) -> None:
        super().__init__()
        self.decoder = diffusers.AutoencoderKL(block_out_channels=(8,), norm_num_groups=4).decoder
        self.dtype_of = dtype_of

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        weight = next(iter(self.decoder.up_blocks.parameters()))
        image: torch.Tensor = self.decoder(latents.to(self.dtype_of(weight)))
        return image


def _as_it_was(weight: torch.Tensor) -> torch.dtype:
    return weight.dtype


def _injected(weight: torch.Tensor) -> torch.dtype:
    """Read a value, which is the effect of the line above on the lazy tensors of the report."""
    return torch.tensor(weight.flatten()[0].item()).dtype


_LATENTS = {"latents": torch.zeros(1, 4, 8, 8)}
_MODELS: Mapping[str, Callable[[], tuple[nn.Module, Mapping[str, Any]]]] = {
    "HunyuanVideoTransformer3DModel": _hunyuan_video,
    "vae-as-it-was": lambda: (_VaeWithDtype(_as_it_was), _LATENTS),
    "vae-injected": lambda: (_VaeWithDtype(_injected), _LATENTS),
}
