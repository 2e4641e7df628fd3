"""The engine that computes values in this process, if any."""

from pytest_diffopt.null_gpu.values.engine import Engine


class _Active:
    engine: Engine | None = None


_active = _Active()


def active_engine() -> Engine | None:
    """Return the engine of the active `computing()` block."""
    return _active.engine


def set_active_engine(engine: Engine | None) -> None:
    """Set the engine that operations are computed by."""
    _active.engine = engine
