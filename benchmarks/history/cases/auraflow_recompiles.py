"""AuraFlow's transformer, compiled for dynamic shapes: whether another image size compiles it anew."""

from collections.abc import Mapping
from typing import Any

import diffusers
import torch

from pytest_diffopt.guards.recompiles import judge_recompiles
from pytest_diffopt.guards.verdict import Verdict
from pytest_diffopt.probes.compilation import CompileLog, watch_recompiles
from pytest_diffopt.records import Device, Subject

# Latents are cut into patches of 2 x 2, so latents of twice the grid's side fill it.
_GRID = 16


class _Inputs(dict[str, Any]):
    """The keywords of a call, with the name that a failure gives it."""

    def __init__(self, size: int) -> None:
        super().__init__(
            hidden_states=torch.randn(1, 4, size, size),
            encoder_hidden_states=torch.randn(1, 7, 32),
            timestep=torch.ones(1),
        )
        self.label = f"latents of {size} x {size}"


def watch() -> Verdict:
    """Compile once, and call with two sizes, the second as large as the model's grid of positions.

    Slicing that grid made Dynamo assume "not the whole of it", a guard that fails only there.
    """
    torch.manual_seed(0)
    transformer = diffusers.AuraFlowTransformer2DModel(
        sample_size=32,
        in_channels=4,
        out_channels=4,
        num_mmdit_layers=1,
        num_single_dit_layers=1,
        attention_head_dim=8,
        num_attention_heads=4,
        caption_projection_dim=32,
        joint_attention_dim=32,
        pos_embed_max_size=_GRID**2,
    ).eval()
    compiled: Any = torch.compile(transformer, backend="aot_eager", dynamic=True)

    def call(inputs: Mapping[str, Any]) -> object:
        with torch.no_grad():
            return compiled(**inputs)

    with CompileLog() as log:
        record = watch_recompiles(
            log,
            call,
            [_Inputs(_GRID), _Inputs(2 * _GRID)],
            start=log.mark(),
            subject=Subject(
                pipeline="AuraFlowTransformer2DModel", scale="tiny", recipe="compile(dynamic=True)", device=Device.CPU
            ),
        )
    return judge_recompiles(record)
