"""AuraFlow's transformer, compiled for dynamic shapes: whether a different image size recompiles it."""

from collections.abc import Mapping
from typing import Any

import diffusers
import torch

from pytest_diffopt.guards.recompiles import judge_recompiles
from pytest_diffopt.guards.verdict import Verdict
from pytest_diffopt.probes.compilation import watch_recompiles
from pytest_diffopt.probes.compile_log import CompileLog
from pytest_diffopt.records import Device, Subject

# The patch size is 2 x 2, so latents of twice the grid's side length fill it.
_GRID = 16


class _Inputs(dict[str, Any]):
    """Keywords of a call, with a label for failures."""

    def __init__(self, size: int) -> None:
        super().__init__(
            hidden_states=torch.randn(1, 4, size, size),
            encoder_hidden_states=torch.randn(1, 7, 32),
            timestep=torch.ones(1),
        )
        self.label = f"latents of {size} x {size}"


def watch() -> Verdict:
    """Compile once, and call with two sizes; the second fills the model's position grid.

    Slicing the grid made Dynamo add a guard that the slice is not the whole grid, which fails only for that size.
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
