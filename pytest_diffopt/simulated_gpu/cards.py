"""The cards that can be simulated: what of a card decides which kernels run and what fits."""

from dataclasses import dataclass

from pytest_diffopt.errors import SimulationError

_GIB = 2**30


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """A GPU's facts.

    Attributes:
        name: as baselines and the command line call it.
        capability: CUDA compute capability (major, minor).
        memory_bytes: the memory that the card is sold with.
        dense_tflops: peak of 16-bit matrix products without sparsity, in 10^12 operations a second.
        gigabytes_per_s: peak memory bandwidth, in 10^9 bytes a second.
    """

    name: str
    capability: tuple[int, int]
    memory_bytes: int
    dense_tflops: float
    gigabytes_per_s: float


# Makers' data sheets; 16-bit tensor cores, dense.
_CARDS = {
    card.name: card
    for card in (
        Card(
            name="nvidia-v100",
            capability=(7, 0),
            memory_bytes=32 * _GIB,
            dense_tflops=125.0,
            gigabytes_per_s=900.0,
        ),
        Card(name="nvidia-t4", capability=(7, 5), memory_bytes=16 * _GIB, dense_tflops=65.0, gigabytes_per_s=320.0),
        Card(
            name="nvidia-a100",
            capability=(8, 0),
            memory_bytes=80 * _GIB,
            dense_tflops=312.0,
            gigabytes_per_s=2039.0,
        ),
        Card(name="nvidia-a10", capability=(8, 6), memory_bytes=24 * _GIB, dense_tflops=125.0, gigabytes_per_s=600.0),
        Card(
            name="nvidia-rtx-4090",
            capability=(8, 9),
            memory_bytes=24 * _GIB,
            dense_tflops=165.2,
            gigabytes_per_s=1008.0,
        ),
        Card(name="nvidia-l4", capability=(8, 9), memory_bytes=24 * _GIB, dense_tflops=121.0, gigabytes_per_s=300.0),
        Card(name="nvidia-l40s", capability=(8, 9), memory_bytes=48 * _GIB, dense_tflops=362.0, gigabytes_per_s=864.0),
        Card(
            name="nvidia-h100",
            capability=(9, 0),
            memory_bytes=80 * _GIB,
            dense_tflops=989.4,
            gigabytes_per_s=3350.0,
        ),
        Card(
            name="nvidia-h200",
            capability=(9, 0),
            memory_bytes=141 * 10**9,
            dense_tflops=989.4,
            gigabytes_per_s=4800.0,
        ),
        Card(
            name="nvidia-b200",
            capability=(10, 0),
            memory_bytes=180 * 10**9,
            dense_tflops=2250.0,
            gigabytes_per_s=8000.0,
        ),
    )
}


def known_cards() -> tuple[str, ...]:
    """Return the names that `card` knows."""
    return tuple(_CARDS)


def card(name: str) -> Card:
    """Return a card by its name.

    Raises:
        SimulationError: no such card is known.
    """
    if name not in _CARDS:
        message = f"a simulated card must be one of {', '.join(_CARDS)}, got: {name!r}"
        raise SimulationError(message)
    return _CARDS[name]
