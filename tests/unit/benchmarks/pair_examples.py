"""Pairs of processes as the benchmarks of false alarms keep them."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from benchmarks.false_alarms.measuring import Pair
from pytest_diffopt.records import PairedBlock, PairedTiming

BLOCK = PairedBlock(base_ns=(100, 101), head_ns=(102, 103))
_CALL_NS = 50_000_000
_PLAIN: dict[str, Any] = {
    "timing": PairedTiming.CONCURRENT,
    "repeats": 1,
    "seconds": 2.0,
    "blocks": (BLOCK,),
    "seconds_in_turn": 0.0,
    "blocks_in_turn": (),
}


def measured_pair(slowdown: float, **properties: Any) -> Pair:
    """Return a measured pair; what is not given is that of one block, timed concurrently for two seconds."""
    return Pair(slowdown=slowdown, **(_PLAIN | properties))


def spread_pairs(slowdown: float, number: int) -> list[Pair]:
    """Return pairs of processes that differ by 0.4 % beside the slowdown."""
    blocks = [_block(slowdown + float(more)) for more in np.linspace(-0.007, 0.007, number)]
    return [
        measured_pair(slowdown, blocks=(one,) * 8, seconds_in_turn=1.0, blocks_in_turn=(one,) * 4) for one in blocks
    ]


def write_pairs(raw: Path, pairs: Iterable[Pair]) -> None:
    """Write the file that a benchmark continues."""
    raw.write_bytes(b"".join(msgspec.json.encode(pair) + b"\n" for pair in pairs))


def _block(slower: float) -> PairedBlock:
    """Return a block in which head takes longer by a fraction."""
    head_ns = round(_CALL_NS * (1 + slower))
    return PairedBlock(base_ns=(_CALL_NS, _CALL_NS), head_ns=(head_ns, head_ns))
