"""What was watched, where, and with which versions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Concern(StrEnum):
    """What can regress; probes, guards, tests and pages are named for it."""

    APPLIED = "applied"
    GRAPH_BREAKS = "graph breaks"
    RECOMPILES = "recompiles"
    COMPILATION = "compilation"
    NUMERICS = "numerics"
    SYNCS = "syncs"
    IMAGES = "images"
    REPEATABILITY = "repeatability"
    COUNTS = "counts"
    LATENCY = "latency"
    MEMORY = "memory"


class Device(StrEnum):
    """Where a pipeline ran while it was watched."""

    CUDA = "cuda"
    SIMULATED = "simulated"
    CPU = "cpu"


class Weights(StrEnum):
    """Where the parameters come from; `RANDOM` draws noise, whatever the architecture."""

    PRETRAINED = "pretrained"
    RANDOM = "random"
    OWN = "the user's own"


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """What was watched.

    Attributes:
        pipeline: its name (`sdxl`), or the class of a pipeline that the user built.
        scale: `tiny`, `full`, or empty for a pipeline that the user built.
        recipe: the canonical text of its recipe; empty when nobody said.
        weights: where its parameters come from.
        device: where it ran.
    """

    pipeline: str
    scale: str = ""
    recipe: str = ""
    weights: Weights = Weights.OWN
    device: Device = Device.CPU

    def __str__(self) -> str:
        """Read as `pipeline sdxl (tiny, weights: random), recipe bf16 + sdpa`."""
        details = ", ".join(filter(None, [self.scale, f"weights: {self.weights}"]))
        recipe = f", recipe {self.recipe}" if self.recipe else ""
        return f"pipeline {self.pipeline} ({details}){recipe}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Environment:
    """The machine and the versions that a record was taken with.

    Attributes:
        device_slug: the folder of its baselines (`nvidia-h200`).
        device_name: what the device calls itself.
        versions: distribution name to version.
    """

    device_slug: str
    device_name: str
    versions: Mapping[str, str] = field(default_factory=dict)
