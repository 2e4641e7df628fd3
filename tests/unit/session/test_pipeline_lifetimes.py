"""Each pipeline of a session has a lifetime, which starts at its build or at its first use."""

import gc
from collections.abc import Iterator
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch._dynamo.convert_frame
from torch import nn

from pytest_diffopt._torch_private import compile_watching
from pytest_diffopt.records import Device, Subject, Weights
from pytest_diffopt.session.pipeline_lifetimes import PipelineLifetime, WatchedPipelines

SUBJECT = Subject(pipeline="sdxl", scale="tiny", recipe="bf16", weights=Weights.RANDOM)


class Pipeline:
    """A pipeline on a device."""

    def __init__(self, device: str = "cpu") -> None:
        self.device = torch.device(device)


@pytest.fixture
def pipelines() -> Iterator[WatchedPipelines]:
    """Return the pipelines of a session; close its compile log afterwards."""
    watched = WatchedPipelines()
    yield watched
    watched.close()


def test_a_registered_pipeline_has_its_lifetime(pipelines: WatchedPipelines) -> None:
    """Its subject and start are those of the registration."""
    pipeline, start = Pipeline(), pipelines.log.mark()
    pipelines.register(pipeline, SUBJECT, start)

    assert pipelines.lifetime_of(pipeline) == PipelineLifetime(subject=SUBJECT, start=start)


@pytest.mark.parametrize(
    ("target", "name", "device"),
    [
        (Pipeline(), "Pipeline", Device.CPU),
        (Pipeline("meta"), "Pipeline", Device.CPU),
        (Pipeline("cuda"), "Pipeline", Device.CUDA),
        (nn.Linear(1, 1), "Linear", Device.CPU),
        (torch.relu, "relu", Device.CPU),
        (len, "len", Device.CPU),
        (SimpleNamespace(device="cpu"), "SimpleNamespace", Device.CPU),
    ],
)
def test_an_unregistered_target_is_the_users_own(
    pipelines: WatchedPipelines, target: Any, name: str, device: Device
) -> None:
    """It has the name of the function or class, its device, and the recipe of the test."""
    lifetime = pipelines.lifetime_of(target, recipe="bf16 + sdpa")

    assert lifetime.subject == Subject(pipeline=name, recipe="bf16 + sdpa", weights=Weights.OWN, device=device)


def test_the_lifetime_of_an_unregistered_target_starts_at_its_first_use(pipelines: WatchedPipelines) -> None:
    """Earlier compilations do not belong to it."""
    torch._dynamo.reset()
    torch.compile(lambda x: x + 1, backend="eager")(torch.ones(1))
    lifetime = pipelines.lifetime_of(Pipeline())

    assert pipelines.log.since(lifetime.start, SUBJECT).frames == ()
    torch._dynamo.reset()


def test_an_adopted_pipeline_keeps_its_start(pipelines: WatchedPipelines) -> None:
    """A second adoption changes nothing, and neither does adopting a registered pipeline."""
    own, built, start = Pipeline(), Pipeline(), pipelines.log.mark()
    pipelines.register(built, SUBJECT, start)
    for pipeline in (own, built):
        pipelines.adopt(pipeline, start, recipe="bf16")
        pipelines.adopt(pipeline, pipelines.log.mark(), recipe="fp16")

    assert pipelines.lifetime_of(own) == PipelineLifetime(
        subject=Subject(pipeline="Pipeline", recipe="bf16"), start=start
    )
    assert pipelines.lifetime_of(built) == PipelineLifetime(subject=SUBJECT, start=start)


def test_a_target_without_weak_references_has_no_lifetime(pipelines: WatchedPipelines) -> None:
    """Adopting it is not an error; each use describes it as the user's own."""
    target = (1, 2)
    pipelines.adopt(target, pipelines.log.mark(), recipe="bf16")

    assert pipelines.lifetime_of(target).subject == Subject(pipeline="tuple")


def test_a_pipeline_is_not_kept_alive(pipelines: WatchedPipelines) -> None:
    """The next pipeline needs its memory."""
    pipeline = Pipeline()
    pipelines.register(pipeline, SUBJECT, pipelines.log.mark())
    del pipeline
    gc.collect()

    assert len(pipelines._lifetimes) == 0


def test_the_first_complete_call_is_recorded_once() -> None:
    """Later calls change nothing; a target without weak references is ignored."""
    pipelines = WatchedPipelines()
    target = type("Pipeline", (), {})()
    before = pipelines.lifetime_of(target).warm
    pipelines.note_warm(target)
    first = pipelines.lifetime_of(target).warm
    pipelines.note_warm(target)
    pipelines.note_warm(1)
    second = pipelines.lifetime_of(target).warm
    pipelines.close()

    assert before is None
    assert first is not None
    assert second is first


def test_the_session_has_one_log_until_it_is_closed(
    pipelines: WatchedPipelines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Closing it restores Dynamo; closing it twice is not an error."""
    monkeypatch.setattr(compile_watching, "_listeners", [])  # the session that runs this test may have a log too
    monkeypatch.setattr(compile_watching, "_patched", ExitStack())
    before = torch._dynamo.convert_frame._compile
    log = pipelines.log
    same = pipelines.log
    during = torch._dynamo.convert_frame._compile
    pipelines.close()
    pipelines.close()

    assert same is log
    assert during is not before
    assert torch._dynamo.convert_frame._compile is before
    assert pipelines.log is not log
