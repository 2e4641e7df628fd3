"""Checks of the collected tests: skip what needs a GPU, refuse what cannot run, list the sources of weights."""

from collections.abc import Iterable, Sequence

import pytest

from pytest_diffopt.environment import NoGPUError, gpu_name
from pytest_diffopt.errors import MarkerError
from pytest_diffopt.plugin.markers import GpuNeeds, NamedPipeline, belongs_to_diffopt, gpu_needs
from pytest_diffopt.session.baseline_owner import owner_of, owns_baseline
from pytest_diffopt.session.count_request import count_request
from pytest_diffopt.session.our_fixtures import our_fixtures
from pytest_diffopt.session.settings import Settings

_WITHOUT_WEIGHTS = "simulated_pipeline"


def check_collected(items: Sequence[pytest.Item], settings: Settings, *, runs: bool = True) -> None:
    """Skip tests that need a GPU in a run without `--diffopt-gpu`.

    Args:
        items: every collected test.
        settings: the settings of the session.
        runs: whether the tests will run; listing what would run on a GPU needs none.

    Raises:
        pytest.UsageError: `--diffopt-gpu` was given and torch can use no GPU, or a `gpu` marker cannot be read.
    """
    ours = [item for item in items if belongs_to_diffopt(item)]
    refuse_shared_baselines(ours)
    needing = [item for item in ours if _needs_gpu(item)]
    if settings.use_gpu and ours and runs:
        _require_gpu()
    if not settings.use_gpu and count_request() is None:
        for item in needing:
            if _is_paired_on_cpu(item, settings):
                continue
            item.add_marker(pytest.mark.skip(reason="needs a GPU: run with --diffopt-gpu"))


def _is_paired_on_cpu(item: pytest.Item, settings: Settings) -> bool:
    """Return whether a latency test that asks for any GPU runs on the CPU, because a paired session compares there too.

    A test that asks for a specific GPU does not.
    """
    return settings.is_paired and "latency_baseline" in our_fixtures(item) and gpu_needs(item) == GpuNeeds()


def weights_lines(items: Iterable[pytest.Item], settings: Settings) -> list[str]:
    """Return one line for each collected pipeline: the source of its weights."""
    with_weights = [item for item in items if _WITHOUT_WEIGHTS not in getattr(item, "fixturenames", ())]
    named = {_id_of(pipeline): pipeline for item in with_weights if (pipeline := _named_pipeline(item)) is not None}
    if not named:
        return []
    from pytest_diffopt.pipelines.loading import find_weights  # noqa: PLC0415 - imports torch

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


def refuse_shared_baselines(items: Iterable[pytest.Item]) -> None:
    """Refuse two tests whose baselines would be one file; some file systems ignore the case of names.

    Raises:
        pytest.UsageError: two tests own one file.
    """
    owners: dict[str, str] = {}
    for item in filter(owns_baseline, items):
        other = owners.setdefault(_file_of(item), item.nodeid)
        if other != item.nodeid:
            msg = f"diffopt: two tests own one baseline: {other} and {item.nodeid}; rename one of them"
            raise pytest.UsageError(msg)


def _file_of(item: pytest.Item) -> str:
    from pytest_diffopt.baselines.key import BaselineKey  # noqa: PLC0415 - imports msgspec

    owner = owner_of(item)
    return BaselineKey(device_slug="any", suite=owner.suite, case=owner.name).relative_path.as_posix().casefold()


def _needs_gpu(item: pytest.Item) -> bool:
    try:
        return gpu_needs(item) is not None
    except MarkerError as error:
        msg = f"diffopt: {item.nodeid}: {error}"
        raise pytest.UsageError(msg) from error


def _require_gpu() -> None:
    try:
        gpu_name()
    except NoGPUError as error:
        msg = f"diffopt: {error}"
        raise pytest.UsageError(msg) from error
