"""An ended pipeline is freed before the next one is built, even if it is part of a reference cycle."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from pytest_diffopt.pipelines.registry import find_pipeline
from pytest_diffopt.pipelines.scale import Scale
from pytest_diffopt.plugin import pipeline_building
from pytest_diffopt.plugin.markers import NamedPipeline
from pytest_diffopt.plugin.pipeline_building import built_pipeline
from pytest_diffopt.recipes.grammar import parse_recipe
from pytest_diffopt.records import Device
from pytest_diffopt.session.pipeline_lifetimes import WatchedPipelines
from pytest_diffopt.session.settings import Settings

SD15 = NamedPipeline(family=find_pipeline("sd15"), scale=Scale.TINY)


@pytest.mark.usefixtures("only_our_collections")
@pytest.mark.parametrize("in_a_cycle", [False, True])
def test_the_last_pipeline_is_freed_before_the_next_is_built(
    monkeypatch: pytest.MonkeyPatch, *, in_a_cycle: bool
) -> None:
    """Python's garbage collector is off: building the second pipeline frees the first."""
    monkeypatch.setattr(pipeline_building, "_MOST_BYTES_LEFT_OVER", 2**20)
    pipelines = WatchedPipelines()
    with built_pipeline(SD15, parse_recipe("fp32"), Device.CPU, Settings(), pipelines) as pipeline:
        unet = weakref.ref(pipeline.unet)
        if in_a_cycle:
            pipeline.unet.pipeline = [pipeline.unet]
    del pipeline

    with built_pipeline(SD15, parse_recipe("fp32"), Device.CPU, Settings(), pipelines):
        assert unet() is None
        assert not pipelines.ended
    pipelines.close()


@pytest.mark.usefixtures("only_our_collections")
def test_small_pipelines_in_cycles_are_collected_together() -> None:
    """A garbage collection takes longer than a tiny pipeline: it runs when ended pipelines use much memory."""
    pipelines = WatchedPipelines()
    with built_pipeline(SD15, parse_recipe("fp32"), Device.CPU, Settings(), pipelines) as pipeline:
        unet = weakref.ref(pipeline.unet)
        pipeline.unet.pipeline = [pipeline.unet]
    del pipeline

    with built_pipeline(SD15, parse_recipe("fp32"), Device.CPU, Settings(), pipelines):
        assert unet() in set(pipelines.ended)
    pipelines.close()


@pytest.fixture
def only_our_collections() -> Iterator[None]:
    """Disable Python's automatic garbage collection during the test."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()
