"""A GPU that is not there: what a CUDA card would do with a pipeline, counted on any machine."""

from .cards import Card, card_called, known_cards
from .device import SimulatedGPU
from .records import AttentionChoice, AttentionKernel, Counts, Sync, SyncKind

__all__ = [
    "AttentionChoice",
    "AttentionKernel",
    "Card",
    "Counts",
    "SimulatedGPU",
    "Sync",
    "SyncKind",
    "card_called",
    "known_cards",
]
