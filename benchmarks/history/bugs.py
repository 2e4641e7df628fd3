"""The replayed bugs of diffusers, and the expected outcome of our guard on each release."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class ReplayOutcome(StrEnum):
    """The outcome of one replay."""

    FAILED = "failed"
    PASSED = "passed"
    UNPROVEN = "unproven"
    CRASHED = "crashed"
    TIMED_OUT = "timed out"
    NOT_INSTALLED = "not installed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Bug:
    """One bug of diffusers.

    Attributes:
        name: argument of `--only`.
        title: the bug in a few words.
        number: number of the issue or pull request of huggingface/diffusers; 0 if there is none.
        case: module in `cases/` that builds the smallest reproduction and runs a guard on it.
        arguments: arguments of the case's `watch`.
        expected: expected outcome for each release.
        accepted_on: release whose figures are the baseline of the others; empty if the guard needs none.
    """

    name: str
    title: str
    number: int = 0
    case: str
    arguments: tuple[str, ...] = ()
    expected: Mapping[str, ReplayOutcome]
    accepted_on: str = ""

    @property
    def link(self) -> str:
        """URL of the issue or pull request; empty if there is none."""
        return f"https://github.com/huggingface/diffusers/pull/{self.number}" if self.number else ""


_FAILS_TODAY = {"0.42.1": ReplayOutcome.FAILED}
_PASSES_TODAY = {"0.42.1": ReplayOutcome.PASSED}
# #11696 set the scheduler's first index in Flux; these pipelines still search it.
_LIKE_FLUX = {
    "sd3": "StableDiffusion3Pipeline",
    "cogview4": "CogView4Pipeline",
    "ltx": "LTXPipeline",
    "sana": "SanaPipeline",
}
_SCHEDULERS = {
    "ddim": "DDIMScheduler",
    "ddpm": "DDPMScheduler",
    "pndm": "PNDMScheduler",
    "unipc": "UniPCMultistepScheduler",
    "lcm": "LCMScheduler",
    "tcd": "TCDScheduler",
    "sa-solver": "SASolverScheduler",
}

BUGS: tuple[Bug, ...] = (
    Bug(
        name="flux-syncs",
        title="Flux: nonzero() and .item() in the first step",
        number=11696,
        case="flow_match_syncs",
        arguments=("FluxPipeline",),
        expected={"0.33.1": ReplayOutcome.FAILED, "0.34.0": ReplayOutcome.PASSED},
    ),
    Bug(
        name="z-image-syncs",
        title="Z-Image: x[mask] = pad, nonzero() and .item()",
        number=13461,
        case="flow_match_syncs",
        arguments=("ZImagePipeline",),
        expected={"0.37.1": ReplayOutcome.FAILED, "0.38.0": ReplayOutcome.PASSED},
    ),
    Bug(
        name="auraflow-recompiles",
        title="AuraFlow: recompiles for another image size",
        number=11297,
        case="auraflow_recompiles",
        expected={"0.33.1": ReplayOutcome.FAILED, "0.34.0": ReplayOutcome.PASSED},
    ),
    Bug(
        name="auraflow-second-call",
        title="AuraFlow: fails when it is called twice",
        number=14184,
        case="auraflow_second_call",
        expected={"0.39.0": ReplayOutcome.FAILED, "0.40.0": ReplayOutcome.PASSED},
    ),
    Bug(
        name="cogvideox-memory",
        title="CogVideoX: the VAE's decode uses more memory",
        number=10091,
        case="cogvideox_memory",
        expected={"0.30.3": ReplayOutcome.PASSED, "0.31.0": ReplayOutcome.FAILED},
        accepted_on="0.30.3",
    ),
    Bug(
        name="hunyuan-graph-break",
        title="HunyuanVideo: a mask filled up to a tensor's value breaks the graph",
        number=11457,
        case="graph_breaks",
        arguments=("HunyuanVideoTransformer3DModel",),
        expected={"0.33.1": ReplayOutcome.FAILED, "0.34.0": ReplayOutcome.PASSED},
    ),
    # It broke the graphs of lazy tensors, not Dynamo's: the original code passes, so a graph break is injected.
    Bug(
        name="vae-dtype-injected",
        title="VAE: reads a weight's value (injected)",
        number=12512,
        case="graph_breaks",
        arguments=("vae-injected",),
        expected=_FAILS_TODAY,
    ),
    Bug(
        name="vae-dtype",
        title="VAE: reads a weight's dtype (original code)",
        number=12512,
        case="graph_breaks",
        arguments=("vae-as-it-was",),
        expected=_PASSES_TODAY,
    ),
    *(
        Bug(
            name=f"{name}-syncs",
            title=f"{pipeline.removesuffix('Pipeline')}: Flux's syncs, not fixed",
            number=11696,
            case="flow_match_syncs",
            arguments=(pipeline,),
            expected=_FAILS_TODAY,
        )
        for name, pipeline in _LIKE_FLUX.items()
    ),
    *(
        Bug(
            name=f"{name}-syncs",
            title=f"{scheduler}: syncs in step(), not fixed",
            case="scheduler_syncs",
            arguments=(scheduler,),
            expected=_FAILS_TODAY,
        )
        for name, scheduler in _SCHEDULERS.items()
    ),
)
