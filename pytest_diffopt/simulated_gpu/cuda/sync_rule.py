"""One row of the sync table."""

import enum
from dataclasses import dataclass

from pytest_diffopt._torch_private.version_gate import release_of
from pytest_diffopt.simulated_gpu.cuda.sync_conditions import Condition
from pytest_diffopt.simulated_gpu.cuda.sync_confirmations import confirmations
from pytest_diffopt.simulated_gpu.observations import SyncKind


class Confidence(enum.Enum):
    """The evidence for a rule."""

    BINARY = "call graph of the official binary"
    SOURCE = "source read"
    DOCUMENTED = "documentation or issue"
    INFERRED = "inferred"
    OBSERVED = "counted on the null GPU, under torch's own CUDA code"


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """When an operation synchronizes.

    Attributes:
        name: a short description.
        operations: aten overloads (`aten.index.Tensor`), operations with all their overloads (`aten.equal`), or Python
            functions.
        syncs: returns the number of syncs of one call.
        source: the file and function in PyTorch, or the documentation.
        kind: why the CPU blocks on the GPU.
        is_reported: whether `torch.cuda.set_sync_debug_mode` reports it.
        confidence: the evidence for the rule.
        until: the first torch release (major.minor) in which it no longer applies; empty if it applies to all.
    """

    name: str
    operations: tuple[str, ...]
    syncs: Condition
    source: str
    kind: SyncKind = SyncKind.READ
    is_reported: bool = True
    confidence: Confidence = Confidence.BINARY
    until: str = ""

    @property
    def confirmed_by(self) -> tuple[str, ...]:
        """The torch versions whose CUDA code made the same syncs on the null GPU in every call that tests the row."""
        return confirmations().get(self.name, ())

    def applies_to(self, torch_version: str) -> bool:
        """Return whether a version of torch synchronizes here."""
        return not self.until or release_of(torch_version) < release_of(self.until)
