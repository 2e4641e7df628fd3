"""The bugs that are replayed, and which color our guard must show on which release of diffusers."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Color(StrEnum):
    """What came of one replay."""

    RED = "red"
    GREEN = "green"
    UNPROVEN = "unproven"
    CRASHED = "crashed"
    TIMED_OUT = "timed out"
    NOT_INSTALLED = "not installed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Bug:
    """One bug of diffusers.

    Attributes:
        name: what `--only` takes.
        title: what was wrong, in a few words.
        number: of the issue or pull request of huggingface/diffusers; 0 where there is none.
        case: the module in `cases/` that makes the smallest trigger and lets a guard judge it.
        arguments: what the case's `watch` takes.
        expected: the color that each release must show.
        accepted_on: the release whose figures are the baseline of the others; empty where the guard needs none.
    """

    name: str
    title: str
    number: int = 0
    case: str
    arguments: tuple[str, ...] = ()
    expected: Mapping[str, Color]
    accepted_on: str = ""

    @property
    def link(self) -> str:
        """Where it was reported or fixed; empty where nobody did."""
        return f"https://github.com/huggingface/diffusers/pull/{self.number}" if self.number else ""


_RED_TODAY = {"0.42.1": Color.RED}
_GREEN_TODAY = {"0.42.1": Color.GREEN}
# #11696 set the scheduler's first index in Flux; the same search is still in these.
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
        expected={"0.33.1": Color.RED, "0.34.0": Color.GREEN},
    ),
    Bug(
        name="z-image-syncs",
        title="Z-Image: x[mask] = pad, nonzero() and .item()",
        number=13461,
        case="flow_match_syncs",
        arguments=("ZImagePipeline",),
        expected={"0.37.1": Color.RED, "0.38.0": Color.GREEN},
    ),
    Bug(
        name="auraflow-recompiles",
        title="AuraFlow: recompiles for another image size",
        number=11297,
        case="auraflow_recompiles",
        expected={"0.33.1": Color.RED, "0.34.0": Color.GREEN},
    ),
    Bug(
        name="auraflow-second-call",
        title="AuraFlow: fails when it is called twice",
        number=14184,
        case="auraflow_second_call",
        expected={"0.39.0": Color.RED, "0.40.0": Color.GREEN},
    ),
    Bug(
        name="cogvideox-memory",
        title="CogVideoX: the VAE's decode holds more memory",
        number=10091,
        case="cogvideox_memory",
        expected={"0.30.3": Color.GREEN, "0.31.0": Color.RED},
        accepted_on="0.30.3",
    ),
    Bug(
        name="hunyuan-graph-break",
        title="HunyuanVideo: a mask filled up to a tensor's value breaks the graph",
        number=11457,
        case="graph_breaks",
        arguments=("HunyuanVideoTransformer3DModel",),
        expected={"0.33.1": Color.RED, "0.34.0": Color.GREEN},
    ),
    # It broke the graphs of lazy tensors, not Dynamo's: unchanged it passes, so its effect there is injected.
    Bug(
        name="vae-dtype-injected",
        title="VAE: a weight's value is asked for (injected)",
        number=12512,
        case="graph_breaks",
        arguments=("vae-injected",),
        expected=_RED_TODAY,
    ),
    Bug(
        name="vae-dtype",
        title="VAE: a weight's dtype is asked for (as it was)",
        number=12512,
        case="graph_breaks",
        arguments=("vae-as-it-was",),
        expected=_GREEN_TODAY,
    ),
    *(
        Bug(
            name=f"{name}-syncs",
            title=f"{pipeline.removesuffix('Pipeline')}: Flux's syncs, still there",
            number=11696,
            case="flow_match_syncs",
            arguments=(pipeline,),
            expected=_RED_TODAY,
        )
        for name, pipeline in _LIKE_FLUX.items()
    ),
    *(
        Bug(
            name=f"{name}-syncs",
            title=f"{scheduler}: syncs in step(), still there",
            case="scheduler_syncs",
            arguments=(scheduler,),
            expected=_RED_TODAY,
        )
        for name, scheduler in _SCHEDULERS.items()
    ),
)
