"""What a row of the table of waits says."""

import enum
from dataclasses import dataclass

from pytest_diffopt.simulated_gpu.cuda.sync_conditions import Condition
from pytest_diffopt.simulated_gpu.observations import SyncKind


class Confidence(enum.Enum):
    """How a rule is known."""

    BINARY = "call graph of the official binary"
    SOURCE = "source read"
    DOCUMENTED = "documentation or issue"
    INFERRED = "inferred"


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """One row: when an operation makes the CPU wait.

    Attributes:
        name: what a person calls the case.
        operations: aten overloads (`aten.index.Tensor`), all overloads of one (`aten.equal`), or a Python function.
        syncs: how often one call waits.
        source: where torch says so.
        kind: why the CPU waits.
        is_reported: whether `torch.cuda.set_sync_debug_mode` reports it.
        confidence: how well it is known.
        confirmed_on: GPUs on which it was seen, with the torch version.
    """

    name: str
    operations: tuple[str, ...]
    syncs: Condition
    source: str
    kind: SyncKind = SyncKind.READ
    is_reported: bool = True
    confidence: Confidence = Confidence.BINARY
    confirmed_on: tuple[str, ...] = ()
