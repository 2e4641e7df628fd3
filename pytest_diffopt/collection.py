"""What is known once every test is collected, and what must be refused before the first one runs."""

from collections.abc import Iterable, Sequence

import pytest

from pytest_diffopt.errors import MarkerError
from pytest_diffopt.markers import NamedPipeline, belongs_to_diffopt, gpu_needs
from pytest_diffopt.options import Settings


def check_collected(items: Sequence[pytest.Item], settings: Settings) -> None:
    """Skip what needs a GPU where none was asked for.

    Raises:
        pytest.UsageError: `--gpu` was given and torch can use no GPU, or a `gpu` marker cannot be read.
    """
    ours = [item for item in items if belongs_to_diffopt(item)]
    needing = [item for item in ours if _needs_gpu(item)]
    if settings.use_gpu and ours:
        _require_gpu()
    if not settings.use_gpu:
        for item in needing:
            item.add_marker(pytest.mark.skip(reason="needs a GPU: run with --gpu"))


def weights_lines(items: Iterable[pytest.Item], settings: Settings) -> list[str]:
    """Return a line for each pipeline that was collected: where its weights will come from."""
    named = {_id_of(pipeline): pipeline for item in items if (pipeline := _named_pipeline(item)) is not None}
    if not named:
        return []
    from pytest_diffopt.pipelines.loading import find_weights  # noqa: PLC0415 - only diffopt's tests pay for it

    lines = []
    for name, pipeline in sorted(named.items()):
        source = find_weights(pipeline.family, pipeline.scale, settings.weights_folder, may_ask_hub=False)
        lines.append(f"diffopt: {name}: weights {source.origin}")
    return lines


def _id_of(named: NamedPipeline) -> str:
    return f"{named.family.name} ({named.scale})"


def _named_pipeline(item: pytest.Item) -> NamedPipeline | None:
    callspec = getattr(item, "callspec", None)
    named = callspec.params.get("diffopt_pipeline") if callspec else None
    return named if isinstance(named, NamedPipeline) else None


def _needs_gpu(item: pytest.Item) -> bool:
    try:
        return gpu_needs(item) is not None
    except MarkerError as error:
        msg = f"diffopt: {item.nodeid}: {error}"
        raise pytest.UsageError(msg) from error


def _require_gpu() -> None:
    from pytest_diffopt.environment import NoGPUError, gpu_name  # noqa: PLC0415 - only a run on a GPU pays for it

    try:
        gpu_name()
    except NoGPUError as error:
        msg = f"diffopt: {error}"
        raise pytest.UsageError(msg) from error
