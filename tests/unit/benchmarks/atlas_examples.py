"""Entries of an atlas, for its tests."""

import datetime as dt

from benchmarks.atlas.entries import (
    SCHEMA_VERSION,
    Atlas,
    Break,
    Denoiser,
    Entry,
    Holder,
    Loop,
    Memory,
    Place,
    Recompile,
    SyncLine,
)
from benchmarks.diffusers_tests.results import Outcome

SIGMA_READ = Place(file="diffusers/pipelines/wan/pipeline_wan.py", line=617, function="__call__", source="t = sigma[i]")
TABLE = Place(file="diffusers/models/transformers/wan.py", line=12, function="forward", source="self.cache[key] = x")
SYNC = SyncLine(where=SIGMA_READ, operation=".item()", kind="read by the host", per_step=(1, 1, 1))
LOOP = Loop(
    num_steps=3,
    syncs=(),
    first_call_syncs=0,
    operations=(120, 118, 118),
    bytes_to_device=(64, 0, 0),
    bytes_to_host=(0, 0, 0),
)
SYNCING_LOOP = Loop(
    num_steps=3,
    syncs=(SYNC,),
    first_call_syncs=2,
    operations=(121, 119, 119),
    bytes_to_device=(64, 0, 0),
    bytes_to_host=(4, 4, 4),
)
DENOISER = Denoiser(
    component="transformer",
    model="WanTransformer3DModel",
    graphs=1,
    breaks=(),
    is_regional=True,
    repeated_blocks=("WanBlock",),
    variations=("another prompt",),
)
BROKEN_DENOISER = Denoiser(
    component="transformer",
    model="WanTransformer3DModel",
    graphs=2,
    breaks=(Break(where=TABLE, reason="Unsupported context manager"),),
    is_regional=False,
    regional_reason="Unsupported: context manager",
    repeated_blocks=("WanBlock",),
    recompiles=(Recompile(variation="another prompt", region="forward", guard="L['n'] == 3", changes_shape=False),),
    variations=("another prompt",),
)
STABLE = Memory(calls=("the call", "another prompt", "the call, again"), growth_bytes=0)
GROWING = Memory(calls=STABLE.calls, growth_bytes=3 * 2**20, holders=(Holder(where=TABLE, held_bytes=3 * 2**20),))


def entry(pipeline: str, loop: Loop | None, denoiser: Denoiser, memory: Memory, unknown: str = "") -> Entry:
    """Return the entry of a measured pipeline."""
    return Entry(
        group=pipeline.lower(),
        case=f"test::{pipeline}Tests",
        outcome=Outcome.RAN,
        pipeline=pipeline,
        loop=loop,
        denoisers=(denoiser,),
        memory=memory,
        unknown={"loop": unknown} if unknown else {},
    )


GOOD = entry("WanPipeline", LOOP, DENOISER, STABLE)
BAD = entry("WanPipeline", SYNCING_LOOP, BROKEN_DENOISER, GROWING)
OTHER = entry("AuraPipeline", None, DENOISER, STABLE, "ProbeError: <the loop> was never entered")
NOT_BUILT = Entry(group="old", case="test_old", outcome=Outcome.NOT_BUILT, reason="OSError: offline")


def atlas(*entries: Entry, left: tuple[str, ...] = ()) -> Atlas:
    """Return an atlas with these entries."""
    return Atlas(
        schema_version=SCHEMA_VERSION,
        date=dt.date(2026, 11, 30),
        versions={"diffusers": "0.42.1", "torch": "2.13.0"},
        tests="0.42.1 58eb52c0803e",
        entries=entries,
        left=left,
    )
