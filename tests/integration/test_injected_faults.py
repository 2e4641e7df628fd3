"""Test that injected faults are caught by the expected guards, and are removed completely."""

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

from benchmarks.injected_faults.catalogue import FAULTS, find_fault
from benchmarks.injected_faults.declaring import InjectedFault, wrapped
from benchmarks.injected_faults.guarding import Guard
from benchmarks.injected_faults.trials import NotCleanError, TrialRunner
from pytest_diffopt import Scale
from pytest_diffopt.pipelines.loading import build_pipeline
from pytest_diffopt.pipelines.registry import find_pipeline
from pytest_diffopt.recipes.grammar import parse_recipe

pytestmark = pytest.mark.filterwarnings("ignore::pytest_diffopt.errors.RecipeWarning")


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[TrialRunner]:
    """Open a trial runner for one test; it replaces the plugin's running test."""
    with TrialRunner(tmp_path) as opened:
        yield opened


def harmless(inject: Any, **changes: Any) -> InjectedFault:
    """Declare an injection without an effect."""
    return replace(find_fault("heads-reversed"), name="harmless", inject=inject, **changes)


@pytest.mark.parametrize(
    ("name", "caught", "not_caught"),
    [
        ("heads-reversed", {Guard.IMAGE, Guard.STORED_IMAGE}, {Guard.REPEATABLE, Guard.SYNCS, Guard.APPLIED}),
        ("gate-and-value-swapped", {Guard.STORED_IMAGE}, {Guard.IMAGE, Guard.REPEATABLE, Guard.SYNCS}),
        ("sync-first-index-searched", {Guard.SYNCS}, {Guard.IMAGE, Guard.STORED_IMAGE, Guard.REPEATABLE}),
    ],
)
def test_fault_is_caught_by_expected_guards(
    runner: TrialRunner, name: str, caught: set[Guard], not_caught: set[Guard]
) -> None:
    """One fault is only in the optimized path, one is also in the reference, one does not change the image."""
    caught_by = set(runner.run(find_fault(name)).caught_by)

    assert caught <= caught_by
    assert not not_caught & caught_by


def test_injection_without_effect_is_not_caught(runner: TrialRunner) -> None:
    """The injection mechanism itself changes nothing: a wrapped clean pipeline passes every guard."""

    def inject(pipeline: Any) -> AbstractContextManager[Any]:
        return wrapped(pipeline.unet, "forward", lambda forward, *args, **keywords: forward(*args, **keywords))

    trial = runner.run(harmless(inject))

    assert trial.caught_by == ()
    assert not trial.image.is_changed
    assert {check.guard for check in trial.checks} >= {Guard.IMAGE, Guard.SYNCS, Guard.COUNTS, Guard.APPLIED}


def test_unclean_pipeline_is_refused(runner: TrialRunner) -> None:
    """DDIM synchronizes in every step, so the clean pipeline fails the sync guard and nothing is injected."""
    fault = harmless(lambda _pipeline: nullcontext(), recipe='scheduler(use="DDIMScheduler")')

    with pytest.raises(NotCleanError, match=r"^syncs must pass before harmless is injected into sdxl with .*DDIM"):
        runner.run(fault)


@pytest.mark.parametrize("recipe", sorted({(fault.pipeline, fault.recipe) for fault in FAULTS}), ids="-".join)
def test_every_injection_is_removed(recipe: tuple[str, str]) -> None:
    """Weights, configurations and methods of instances, classes and modules are restored after every fault."""
    name, text = recipe
    pipeline = parse_recipe(text).apply(build_pipeline(find_pipeline(name), Scale.TINY).pipeline)
    before = _state_of(pipeline)
    left_behind = []
    for fault in FAULTS:
        if (fault.pipeline, fault.recipe) == recipe:
            with fault.inject(pipeline):
                pass
            changed = _differences(before, _state_of(pipeline))
            left_behind += [f"{fault.name}: {', '.join(changed)}"] if changed else []

    assert left_behind == []


def _state_of(pipeline: Any) -> dict[str, Any]:
    """Return everything that an injection may change, by name: values, or objects to compare by identity."""
    state: dict[str, Any] = {f"functional.{name}": value for name, value in vars(functional).items()}
    for name, part in pipeline.components.items():
        state |= {f"{name}.config.{key}": repr(value) for key, value in _configuration(part).items()}
        if isinstance(part, torch.nn.Module):  # every call resets a scheduler's state
            state |= {f"{name}.{key}": repr(value) for key, value in vars(part).items() if _is_plain(value)}
            state |= {f"{name}.{path}.forward": "forward" in vars(inner) for path, inner in part.named_modules()}
            state |= {f"{name}.{path}": _values(value) for path, value in part.state_dict().items()}
    for owner in _owners():
        state |= {f"{owner.__name__}.{name}": value for name, value in vars(owner).items()}
    return state


def _configuration(part: Any) -> dict[str, Any]:
    """Return a component's configuration, of diffusers' or transformers' kind."""
    config = getattr(part, "config", None) or {}
    found: dict[str, Any] = dict(config) if isinstance(config, dict) else config.to_dict()
    return found


def _owners() -> list[Any]:
    """Return the classes and modules that the fault modules import, which are those that they may patch."""
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


def test_docs_page_has_both_generated_sections() -> None:
    """The page that the command updates has both of its sections."""
    page = (Path(__file__).parents[2] / "docs" / "injected-faults.md").read_text(encoding="utf-8")

    assert all(
        f"<!-- {word}: {part} -->" in page for word in ("begin", "end") for part in ("injected faults", "false alarms")
    )
