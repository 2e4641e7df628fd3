"""What a family of pipelines must say about itself, and what building one gives."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_diffopt.pipelines.inputs import PipelineInputs
from pytest_diffopt.pipelines.scale import Scale

if TYPE_CHECKING:  # pytest loads this module at every start, and the records take milliseconds to define
    from pytest_diffopt.records import Weights


@dataclass(frozen=True, kw_only=True, slots=True)
class PipelineFamily:
    """A pipeline that tests can name.

    Attributes:
        name: what a marker writes.
        inputs: the plain call at a scale.
        variations: calls that must not compile anything anew, at a scale.
        build_tiny: builds it small, in milliseconds and the same every time; None where there is no tiny scale.
        build_random: builds the published architecture with random weights, on torch's default device; None where
            there is no full scale without weights.
        hub_id: where its published weights are; empty where they are nowhere.
        more_hub_ids: where components of it are that come from elsewhere.
        class_name: the diffusers class that loads them.
        load_options: keywords for `from_pretrained` from the hub, made when it is called.
        stages: the families that it calls one after another; it is loaded when each of them can be.
        chain: makes it of its built stages.
        largest_batch: how many images one call can be asked for; None where memory is the only limit.
        ships_weights: the tiny scale's trained weights come with this package; else they are the user's own.
    """

    name: str
    inputs: Callable[[Scale], PipelineInputs]
    variations: Callable[[Scale], Sequence[PipelineInputs]]
    build_tiny: Callable[[], Any] | None = None
    build_random: Callable[[], Any] | None = None
    hub_id: str = ""
    more_hub_ids: tuple[str, ...] = ()
    class_name: str = "DiffusionPipeline"
    load_options: Callable[[], dict[str, Any]] = dict
    stages: "tuple[PipelineFamily, ...]" = ()
    chain: Callable[..., Any] | None = None
    largest_batch: int | None = None
    ships_weights: bool = False

    def batched_inputs(self, scale: Scale, batch: int | None) -> PipelineInputs:
        """Return the plain call, asked for so many images; None leaves it as it is."""
        plain = self.inputs(scale)
        if batch is None or batch == plain.get("num_images_per_prompt", 1):
            return plain
        return plain.varied(f"batch {batch}", num_images_per_prompt=batch)


@dataclass(frozen=True, kw_only=True, slots=True)
class BuiltPipeline:
    """A pipeline ready to be called.

    Attributes:
        pipeline: the diffusers pipeline.
        weights: where its parameters come from.
        origin: the same in words, with the reason where it is not what a user would expect.
    """

    pipeline: Any
    weights: "Weights"
    origin: str
