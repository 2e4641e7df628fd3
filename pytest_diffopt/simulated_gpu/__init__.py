"""A GPU that is not there: what a CUDA card would do with a pipeline, counted on any machine."""

from pytest_diffopt.simulated_gpu.cost.gpus import Card, card_called, known_cards
from pytest_diffopt.simulated_gpu.device import SimulatedGPU
from pytest_diffopt.simulated_gpu.observations import AttentionChoice, AttentionKernel, Counts, Sync, SyncKind

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
