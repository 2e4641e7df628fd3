"""The attention backend of today's diffusers: `set_attention_backend`."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

from typing_extensions import override

from pytest_diffopt.errors import RecipeError, did_you_mean
from pytest_diffopt.pipelines.components import denoiser_names, modules_of
from pytest_diffopt.recipes.optimization import Optimization, Stage
from pytest_diffopt.records import OptimizationState


@dataclass(frozen=True, kw_only=True)
class AttentionBackend(Optimization):
    """`denoiser.set_attention_backend(...)`: which library or kernel computes attention.

    diffusers' older layers, a UNet's among them, call SDPA past it, so there it does nothing and is refused.

    Attributes:
        backend: as diffusers names it: `native`, `_native_cudnn`, `flash`, `sage`, ...
    """

    name: ClassVar[str] = "attention_backend"
    stage: ClassVar[Stage] = Stage.ATTENTION
    conflicts: ClassVar[dict[str, str]] = {"vanilla_attention": "it writes attention out"}

    backend: str = ""

    def __post_init__(self) -> None:
        """Refuse a backend that diffusers does not have, before anybody builds a pipeline for it."""
        from diffusers.models.attention_dispatch import AttentionBackendName  # noqa: PLC0415 - slow to import

        known = [one.value for one in AttentionBackendName]
        if self.backend not in known:
            hint = did_you_mean(self.backend, known)
            msg = f"unknown backend of attention_backend: {self.backend!r}{hint}; known: {', '.join(known)}"
            raise RecipeError(msg)

    @override
    def apply(self, pipeline: Any) -> None:
        for name, denoiser in _denoisers_of(pipeline).items():
            if not _takers(denoiser):
                msg = (
                    f"attention_backend would change nothing: no attention processor of {name} takes a backend; "
                    "for its layers there is sdpa(backend=...)"
                )
                raise RecipeError(msg)
            self._set_in(denoiser)

    @override
    def verify(self, pipeline: Any) -> OptimizationState:
        total, answered, missing = 0, 0, []
        for name, denoiser in _denoisers_of(pipeline).items():
            backends = [_backend_of(processor) for processor in _processors(denoiser)]
            others = [backend for backend in backends if backend != self.backend]
            total += len(backends)
            answered += len(backends) - len(others)
            if others:
                kinds = ", ".join(sorted(set(others)))
                missing.append(f"{len(others)} of {len(backends)} attention layers of {name} use another: {kinds}")
        if not total:
            missing.append("there is no attention layer")
        return self.state(f"{answered} of {total} attention layers use {self.backend}", missing)

    def _set_in(self, denoiser: Any) -> None:
        with _active_backend_kept():
            try:
                denoiser.set_attention_backend(self.backend)
            except (RuntimeError, ValueError) as error:
                msg = f"attention_backend(backend={self.backend!r}) cannot be used here: {error}"
                raise RecipeError(msg) from error


def _denoisers_of(pipeline: Any) -> dict[str, Any]:
    modules = modules_of(pipeline)
    return {name: modules[name] for name in denoiser_names(pipeline)}


def _processors(denoiser: Any) -> list[Any]:
    return [part.processor for part in denoiser.modules() if hasattr(part, "processor")]


def _takers(denoiser: Any) -> list[Any]:
    return [processor for processor in _processors(denoiser) if hasattr(processor, "_attention_backend")]


def _backend_of(processor: Any) -> str:
    if not hasattr(processor, "_attention_backend"):
        return f"{type(processor).__name__} takes none"
    chosen = processor._attention_backend  # noqa: SLF001 - diffusers has no other way to ask
    return "diffusers' default" if chosen is None else str(getattr(chosen, "value", chosen))


@contextmanager
def _active_backend_kept() -> Iterator[None]:
    """Let diffusers' default for every other model of the process be what it was."""
    from diffusers.models.attention_dispatch import _AttentionBackendRegistry  # noqa: PLC0415 - as above

    before, _ = _AttentionBackendRegistry.get_active_backend()
    try:
        yield
    finally:
        _AttentionBackendRegistry.set_active_backend(before)
