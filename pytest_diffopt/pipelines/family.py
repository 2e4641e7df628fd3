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
        hub_id: where its published weights are.
        class_name: the diffusers class that loads them.
        build_tiny: builds it small, seeded, in milliseconds.
        build_random: builds the published architecture with random weights, on torch's default device.
        load_options: keywords for `from_pretrained` from the hub, made when it is called.
        inputs: the plain call at a scale.
        variations: calls that must not compile anything anew, at a scale.
    """

    name: str
    hub_id: str
    class_name: str
    build_tiny: Callable[[], Any]
    build_random: Callable[[], Any]
    inputs: Callable[[Scale], PipelineInputs]
    variations: Callable[[Scale], Sequence[PipelineInputs]]
    load_options: Callable[[], dict[str, Any]] = dict


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
