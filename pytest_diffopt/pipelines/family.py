"""The description of a named pipeline, and the result of building it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_diffopt.pipelines.inputs import PipelineInputs
from pytest_diffopt.pipelines.scale import Scale

if TYPE_CHECKING:  # pytest imports this module at every start, and the records take milliseconds to define
    from pytest_diffopt.records import Weights


@dataclass(frozen=True, kw_only=True, slots=True)
class PipelineFamily:
    """A pipeline that tests can name.

    Attributes:
        name: the name in markers.
        inputs: returns the plain call at a scale.
        variations: returns the calls that must not recompile, at a scale.
        build_tiny: builds the tiny scale deterministically, in milliseconds; None if there is no tiny scale.
        build_random: builds the published architecture with random weights, on torch's default device; None if there
            is no full scale without weights.
        hub_id: the repository of the published weights; empty if there is none.
        more_hub_ids: the repositories of components that are published separately.
        class_name: the diffusers class that loads the weights.
        load_options: returns the keywords of `from_pretrained`; called only to load from the hub.
        stages: the pipelines that a chain calls one after another; the chain loads weights if each of them can.
        chain: builds the chain from its stages.
        largest_batch: the maximum number of images per call; None if only memory limits it.
        one_per_image: the names of inputs of which a batch takes one per image.
        ships_weights: whether this package includes trained weights of the tiny scale.
        has_random_weights: whether the tiny scale has random weights, the same in every build; without either, its
            weights are the user's own.
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
    one_per_image: tuple[str, ...] = ()
    ships_weights: bool = False
    has_random_weights: bool = False

    def batched_inputs(self, scale: Scale, batch: int | None) -> PipelineInputs:
        """Return the plain call with a number of images; None leaves it unchanged."""
        plain = self.inputs(scale)
        if batch is None or batch == plain.get("num_images_per_prompt", 1):
            return plain
        repeated: dict[str, Any] = {name: [plain[name]] * batch for name in self.one_per_image}
        return plain.varied(f"batch {batch}", num_images_per_prompt=batch, **repeated)


@dataclass(frozen=True, kw_only=True, slots=True)
class BuiltPipeline:
    """A pipeline ready to be called.

    Attributes:
        pipeline: the diffusers pipeline.
        weights: the kind of its weights.
        origin: a description of their origin, with the reason if they are random.
    """

    pipeline: Any
    weights: "Weights"
    origin: str
