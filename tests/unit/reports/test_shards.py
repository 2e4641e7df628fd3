"""Where the sessions of a report ran, and what was not the same everywhere."""

import msgspec

from pytest_diffopt.reports.document import Shard
from pytest_diffopt.reports.merging.combining import Demands, together
from pytest_diffopt.reports.shards import by_gpu, differences, where
from tests.unit.reports.merging.shard_examples import source
from tests.unit.reports.report_examples import ON_GPU, SDXL, clean, report, shard, syncs


def with_versions(one: Shard, **versions: str) -> Shard:
    """Install other versions."""
    return msgspec.structs.replace(one, environment=msgspec.structs.replace(one.environment, versions=versions))


def test_one_session_is_reported_by_its_device_and_versions() -> None:
    """Those that everybody asks for; what is not installed is left out."""
    assert where([shard()]) == "NVIDIA H200 · torch 2.13.0 · diffusers 0.42.1"
    assert where([with_versions(shard(), torch="2.13.0")]) == "NVIDIA H200 · torch 2.13.0"


def test_several_are_reported_once_each() -> None:
    """Two shards of one GPU are one device."""
    shards = [shard("a"), shard("b", torch="2.12.1"), shard("c", device="NVIDIA L4"), shard("d", device="NVIDIA A100")]

    assert where(shards) == ("NVIDIA H200, NVIDIA L4 and NVIDIA A100 · torch 2.13.0 and 2.12.1 · diffusers 0.42.1")


def test_a_version_that_is_not_everywhere_the_same_says_where_it_is() -> None:
    """Also one that is missing in some; what is the same is no difference."""
    torchao = {"torch": "2.13.0", "torchao": "0.18.0"}
    shards = [
        with_versions(shard("a"), **torchao),
        with_versions(shard("b"), **torchao),
        with_versions(shard("c"), torch="2.13.0"),
    ]

    assert list(differences(shards)) == ["torchao 0.18.0 (a, b), not installed (c)"]
    assert list(differences(shards[:2])) == []


def test_figures_of_two_gpus_are_in_no_table_together() -> None:
    """Those of two shards of one GPU are."""
    one, other = clean(SDXL, ON_GPU), [syncs()]
    two_gpus = together([source("h200", one), source("l4", other)], Demands())
    one_gpu = together([source("a", one, device="L4"), source("b", other, device="L4")], Demands())

    assert {gpu: len(entries) for gpu, entries in by_gpu(two_gpus).items()} == {"H200": 11, "L4": 1}
    assert {gpu: len(entries) for gpu, entries in by_gpu(one_gpu).items()} == {"": 12}
    assert by_gpu(report([])) == {}
