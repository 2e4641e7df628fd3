"""CogVideoX: peak memory of the VAE's decode, compared with an earlier release."""

from pathlib import Path
from typing import Any

import diffusers
import torch
from torch import nn

from pytest_diffopt.baselines.codec import decode, encode
from pytest_diffopt.baselines.documents import MemoryBaseline
from pytest_diffopt.environment import capture_environment
from pytest_diffopt.guards.memory import judge_memory
from pytest_diffopt.guards.verdict import Verdict
from pytest_diffopt.probes.memory import measure_peak_memory_simulated
from pytest_diffopt.records import Device, Subject

_SUBJECT = Subject(pipeline="AutoencoderKLCogVideoX.decode", scale="tiny", device=Device.SIMULATED)
_MARGIN = 0.05
_FLOOR_BYTES = 1_048_576


class _Decode(nn.Module):
    """A module whose call runs only the VAE's decode."""

    def __init__(self, vae: Any) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        image: torch.Tensor = self.vae.decode(latents).sample
        return image


def watch(verb: str, accepted: str) -> Verdict:
    """Decode four frames of latents on a simulated GPU.

    Args:
        verb: `accept` writes the figures as the baseline first; `judge` only compares with it.
        accepted: file of the baseline.
    """
    torch.manual_seed(0)
    vae = diffusers.AutoencoderKLCogVideoX(block_out_channels=(32, 32, 64, 64), norm_num_groups=8).eval()
    with torch.no_grad():
        record = measure_peak_memory_simulated(_Decode(vae), (torch.randn(1, 16, 4, 16, 16),), {}, _SUBJECT)
    environment = capture_environment(Device.SIMULATED)
    file = Path(accepted)
    if verb == "accept":
        baseline = MemoryBaseline.from_record(
            record,
            case="cogvideox_memory",
            environment=environment,
            margin=_MARGIN,
            floor_bytes=_FLOOR_BYTES,
            reason="the previous release",
        )
        file.write_bytes(encode(baseline, file=file))
    baseline = decode(file.read_bytes(), MemoryBaseline, file=file)
    return judge_memory(record, baseline, environment=environment, rerun="make history")
