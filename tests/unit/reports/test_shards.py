"""Devices and versions of the sessions of a report, and the differences between them."""

import msgspec

from pytest_diffopt.reports.document import Shard
from pytest_diffopt.reports.merging.combining import Expectations, combine
from pytest_diffopt.reports.shards import by_gpu, environment_line, version_differences
from tests.unit.reports.merging.shard_examples import source
from tests.unit.reports.report_examples import ON_GPU, SDXL, clean, report, shard, syncs


def with_versions(one: Shard, **versions: str) -> Shard:
    """Return the shard with other versions."""
    return msgspec.structs.replace(one, environment=msgspec.structs.replace(one.environment, versions=versions))


def test_one_session_shows_its_device_and_versions() -> None:
    """A distribution that is not installed is omitted."""
    assert environment_line([shard()]) == "NVIDIA H200 · torch 2.13.0 · diffusers 0.42.1"
    assert environment_line([with_versions(shard(), torch="2.13.0")]) == "NVIDIA H200 · torch 2.13.0"


def test_several_sessions_show_each_device_once() -> None:
    """Two shards of one GPU are one device."""
    shards = [shard("a"), shard("b", torch="2.12.1"), shard("c", device="NVIDIA L4"), shard("d", device="NVIDIA A100")]

    assert (
        environment_line(shards)
        == "NVIDIA H200, NVIDIA L4 and NVIDIA A100 · torch 2.13.0 and 2.12.1 · diffusers 0.42.1"
    )


def test_a_version_difference_names_its_shards() -> None:
    """A distribution that some shards lack is a difference; equal versions are not."""
    torchao = {"torch": "2.13.0", "torchao": "0.18.0"}
    shards = [
        with_versions(shard("a"), **torchao),
        with_versions(shard("b"), **torchao),
        with_versions(shard("c"), torch="2.13.0"),
    ]

    assert list(version_differences(shards)) == ["torchao 0.18.0 (a, b), not installed (c)"]
    assert list(version_differences(shards[:2])) == []


def test_verdicts_are_grouped_by_gpu() -> None:
    """Two shards of one GPU are one group."""
    one, other = clean(SDXL, ON_GPU), [syncs()]
    two_gpus = combine([source("h200", one), source("l4", other)], Expectations())
    one_gpu = combine([source("a", one, device="L4"), source("b", other, device="L4")], Expectations())

    assert {gpu: len(entries) for gpu, entries in by_gpu(two_gpus).items()} == {"H200": 11, "L4": 1}
    assert {gpu: len(entries) for gpu, entries in by_gpu(one_gpu).items()} == {"": 12}
    assert by_gpu(report([])) == {}
