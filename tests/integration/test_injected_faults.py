"""Bugs injected into living pipelines: the harness tells who sees them, and leaves nothing of them behind."""

import inspect
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

from benchmarks.injected_faults.catalogue import BUGS, find_bug
from benchmarks.injected_faults.declaring import InjectedFault, wrapped
from benchmarks.injected_faults.guarding import Guard
from benchmarks.injected_faults.trials import NotCleanError, Workshop
from pytest_diffopt import Scale
from pytest_diffopt.pipelines.loading import build_pipeline
from pytest_diffopt.pipelines.registry import find_pipeline
from pytest_diffopt.recipes.grammar import parse_recipe

pytestmark = pytest.mark.filterwarnings("ignore::pytest_diffopt.errors.RecipeWarning")


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[Workshop]:
    """Open a workshop for one test: it takes the place of the test that runs now, as the plugin knows it."""
    with Workshop(tmp_path) as opened:
        yield opened


def harmless(inject: Any, **changes: Any) -> InjectedFault:
    """Declare something that is no bug."""
    return replace(find_bug("heads-reversed"), name="harmless", inject=inject, **changes)


@pytest.mark.parametrize(
    ("name", "seen_by", "not_seen_by"),
    [
        ("heads-reversed", {Guard.IMAGE, Guard.STORED_IMAGE}, {Guard.REPEATABLE, Guard.SYNCS, Guard.APPLIED}),
        ("gate-and-value-swapped", {Guard.STORED_IMAGE}, {Guard.IMAGE, Guard.REPEATABLE, Guard.SYNCS}),
        ("sync-first-index-searched", {Guard.SYNCS}, {Guard.IMAGE, Guard.STORED_IMAGE, Guard.REPEATABLE}),
    ],
)
def test_a_bug_is_seen_by_the_guards_whose_business_it_is(
    workshop: Workshop, name: str, seen_by: set[Guard], not_seen_by: set[Guard]
) -> None:
    """One in the optimized path, one that the plain pipeline shares, one that leaves the image alone."""
    caught_by = set(workshop.try_out(find_bug(name)).caught_by)

    assert seen_by <= caught_by
    assert not not_seen_by & caught_by


def test_what_is_no_bug_is_seen_by_nobody(workshop: Workshop) -> None:
    """Planting as such changes nothing: the clean pipeline passes every guard, wrapped or not."""

    def inject(pipeline: Any) -> AbstractContextManager[Any]:
        return wrapped(pipeline.unet, "forward", lambda forward, *args, **keywords: forward(*args, **keywords))

    trial = workshop.try_out(harmless(inject))

    assert trial.caught_by == ()
    assert not trial.image.is_changed
    assert {answer.guard for answer in trial.answers} >= {Guard.IMAGE, Guard.SYNCS, Guard.COUNTS, Guard.APPLIED}


def test_nothing_is_injected_into_what_is_not_clean(workshop: Workshop) -> None:
    """DDIM waits for the GPU in every step: the benchmark says so and stops."""
    bug = harmless(lambda _pipeline: nullcontext(), recipe='scheduler(use="DDIMScheduler")')

    with pytest.raises(NotCleanError, match=r"^syncs must be green before harmless is injected into sdxl with .*DDIM"):
        workshop.try_out(bug)


@pytest.mark.parametrize("recipe", sorted({(bug.pipeline, bug.recipe) for bug in BUGS}), ids="-".join)
def test_every_plant_puts_back_what_it_changed(recipe: tuple[str, str]) -> None:
    """Weights, configurations, methods of instances, classes and modules: all as before, after every bug."""
    name, text = recipe
    pipeline = parse_recipe(text).apply(build_pipeline(find_pipeline(name), Scale.TINY).pipeline)
    before = _state_of(pipeline)
    left_behind = []
    for bug in BUGS:
        if (bug.pipeline, bug.recipe) == recipe:
            with bug.inject(pipeline):
                pass
            changed = _differences(before, _state_of(pipeline))
            left_behind += [f"{bug.name}: {', '.join(changed)}"] if changed else []

    assert left_behind == []


def _state_of(pipeline: Any) -> dict[str, Any]:
    """Return whatever a inject may touch: by a name, its value, or its identity where only that can be compared."""
    state: dict[str, Any] = {f"functional.{name}": value for name, value in vars(functional).items()}
    for name, part in pipeline.components.items():
        state |= {f"{name}.config.{key}": repr(value) for key, value in _configuration(part).items()}
        if isinstance(part, torch.nn.Module):  # a scheduler's own state is set anew by every call
            state |= {f"{name}.{key}": repr(value) for key, value in vars(part).items() if _is_plain(value)}
            state |= {f"{name}.{path}.forward": "forward" in vars(inner) for path, inner in part.named_modules()}
            state |= {f"{name}.{path}": _values(value) for path, value in part.state_dict().items()}
    for owner in _owners():
        state |= {f"{owner.__name__}.{name}": value for name, value in vars(owner).items()}
    return state


def _configuration(part: Any) -> dict[str, Any]:
    """Return a component's configuration, as diffusers or as transformers keeps it."""
    config = getattr(part, "config", None) or {}
    found: dict[str, Any] = dict(config) if isinstance(config, dict) else config.to_dict()
    return found


def _owners() -> list[Any]:
    """Return the classes and modules that the modules of bugs name: what they may patch."""
    modules = [module for name, module in sys.modules.items() if name.startswith("benchmarks.injected_faults.")]
    named = [value for module in modules for value in vars(module).values()]
    found = [value for value in named if inspect.isclass(value) or inspect.ismodule(value)]
    theirs = ("diffusers.", "transformers.", "torchao.")
    return [one for one in found if str(getattr(one, "__module__", getattr(one, "__name__", ""))).startswith(theirs)]


def _is_plain(value: Any) -> bool:
    return isinstance(value, (bool, int, float, str, tuple, list, type(None), torch.Tensor))


def _values(weight: torch.Tensor) -> torch.Tensor:
    parts = [getattr(weight, name) for name in ("qdata", "scale") if hasattr(weight, name)] or [weight]
    return torch.cat([part.detach().to(torch.float64).flatten() for part in parts])


def _differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    return [name for name in {**before, **after} if not _is_same(before.get(name), after.get(name))]


def _is_same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return torch.equal(one, other)
    return one is other or (isinstance(one, (str, bool)) and one == other)


def test_the_page_is_of_a_file_that_exists() -> None:
    """The docs' page that the command renews has both of its sections."""
    page = (Path(__file__).parents[2] / "docs" / "injected-faults.md").read_text(encoding="utf-8")

    assert all(
        f"<!-- {word}: {part} -->" in page for word in ("begin", "end") for part in ("injected faults", "false alarms")
    )
