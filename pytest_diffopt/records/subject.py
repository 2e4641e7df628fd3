"""Subject of a record: pipeline, recipe and device; and the environment in which it was taken."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from pytest_diffopt.printable import printable_line


class Concern(StrEnum):
    """What can regress. Probes, guards, tests and documentation pages use these names."""

    APPLIED = "applied"
    EFFECT = "effect"
    GRAPH_BREAKS = "graph breaks"
    RECOMPILES = "recompiles"
    COMPILATION = "compilation"
    NUMERICS = "numerics"
    SYNCS = "syncs"
    IMAGES = "images"
    REPEATABILITY = "repeatability"
    COUNTS = "counts"
    KERNELS = "kernels"
    LATENCY = "latency"
    MEMORY = "memory"
    OWN = "own guard"


class Device(StrEnum):
    """Device on which a pipeline is measured."""

    CUDA = "cuda"
    NULL_GPU = "null-gpu"
    SIMULATED = "simulated"
    CPU = "cpu"

    @property
    def is_gpu(self) -> bool:
        """Whether torch's own GPU code runs there: on a GPU, or on the null GPU in place of one."""
        return self in {Device.CUDA, Device.NULL_GPU}

    @property
    def in_words(self) -> str:
        """Its name in a sentence."""
        return _IN_WORDS[self]


_IN_WORDS = {
    Device.CUDA: "the GPU",
    Device.NULL_GPU: "the null GPU",
    Device.SIMULATED: "the simulated GPU",
    Device.CPU: "the CPU",
}


class Weights(StrEnum):
    """Where the parameters come from; with `RANDOM` the images are noise."""

    PRETRAINED = "pretrained"
    RANDOM = "random"
    OWN = "the user's own"


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """What was measured.

    Attributes:
        pipeline: name of the pipeline (`sdxl`), or class of a pipeline that the user built.
        scale: `tiny`, `full`, or empty for a pipeline that the user built.
        recipe: canonical text of the recipe; empty when unknown.
        weights: where the parameters come from.
        device: where the pipeline ran.
        rank: the process of several that ran it together (`rank 1 of 2`); empty for one process.
    """

    pipeline: str
    scale: str = ""
    recipe: str = ""
    weights: Weights = Weights.OWN
    device: Device = Device.CPU
    rank: str = ""

    def __str__(self) -> str:
        """Return text like `pipeline sdxl (tiny, weights: random), recipe bf16 + sdpa`."""
        details = ", ".join(filter(None, [self.scale, f"weights: {self.weights}"]))
        recipe = f", recipe {self.recipe}" if self.recipe else ""
        rank = f"{self.rank}, " if self.rank else ""
        return printable_line(f"{rank}pipeline {self.pipeline} ({details}){recipe}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Environment:
    """The device and the package versions with which a record was taken.

    Attributes:
        device_slug: folder of the device's baselines (`nvidia-h200`).
        device_name: name that the device reports.
        versions: distribution name to version.
    """

    device_slug: str
    device_name: str
    versions: Mapping[str, str] = field(default_factory=dict)
