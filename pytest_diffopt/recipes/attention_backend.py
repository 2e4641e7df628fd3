"""The attention backend of current diffusers: `set_attention_backend`."""

from collections.abc import Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

from diffusers.models.attention_dispatch import AttentionBackendName, _AttentionBackendRegistry
from typing_extensions import override

from pytest_diffopt.errors import RecipeError, did_you_mean
from pytest_diffopt.pipelines.components import denoiser_names, denoisers_of
from pytest_diffopt.recipes.attention import ignored_masks
from pytest_diffopt.recipes.effect_reading import component_of, empty_steps, summed, work_of
from pytest_diffopt.recipes.optimization import Optimization, Stage
from pytest_diffopt.records import CallEvidence, OperationKind, OptimizationEffect, OptimizationState

_SDPA = "scaled_dot_product"
_ANY = ""
#: The part of the name of torch's kernel that each of torch's own backends runs; other backends run none of them.
_KERNELS = {
    "native": _ANY,
    "_native_math": _ANY,
    "_native_npu": _ANY,
    "_native_xla": _ANY,
    "_native_flash": "flash",
    "_native_efficient": "efficient",
    "_native_cudnn": "cudnn",
}


@dataclass(frozen=True, kw_only=True)
class AttentionBackend(Optimization):
    """`denoiser.set_attention_backend(...)`: the library or kernel that computes attention.

    diffusers' older layers, including those of UNets, call SDPA directly. The backend has no effect there and is
    rejected.

    Attributes:
        backend: a name that diffusers defines: `native`, `_native_cudnn`, `flash`, `sage`, ...
    """

    name: ClassVar[str] = "attention_backend"
    stage: ClassVar[Stage] = Stage.ATTENTION
    conflicts: ClassVar[dict[str, str]] = {"vanilla_attention": "it runs attention as separate operations"}

    backend: str = ""

    def __post_init__(self) -> None:
        """Reject a backend that diffusers does not define, before a pipeline is built."""
        known = [one.value for one in AttentionBackendName]
        if self.backend not in known:
            hint = did_you_mean(self.backend, known)
            msg = f"unknown backend of attention_backend: {self.backend!r}{hint}; known: {', '.join(known)}"
            raise RecipeError(msg)

    @override
    def apply(self, pipeline: Any) -> None:
        for name, denoiser in denoisers_of(pipeline).items():
            if not _accepts_backend(denoiser):
                msg = (
                    f"attention_backend has no effect: no attention processor of {name} accepts a backend; "
                    "use sdpa(backend=...)"
                )
                raise RecipeError(msg)
            self._set_in(denoiser)

    @override
    def verify(self, pipeline: Any) -> OptimizationState:
        total, right, missing = 0, 0, []
        for name, denoiser in denoisers_of(pipeline).items():
            backends = [_backend_of(processor) for processor in processors_of(denoiser)]
            others = [backend for backend in backends if backend != self.backend]
            total += len(backends)
            right += len(backends) - len(others)
            if others:
                kinds = ", ".join(sorted(set(others)))
                missing.append(f"{len(others)} of {len(backends)} attention layers of {name} use {kinds}")
        if not total:
            missing.append("the pipeline has no attention layer")
        return self.state(f"{right} of {total} attention layers use {self.backend}", missing)

    @override
    def effect(self, pipeline: Any, call: CallEvidence) -> OptimizationEffect:
        own = [one for one in call.backends if component_of(one.module) in denoiser_names(pipeline)]
        sums = summed([one for one in own if one.backend == self.backend], call)
        others = sorted({one.backend for one in own if one.backend != self.backend})
        lacking = [
            f"{sum(one.count for one in own if one.backend == other)} attention calls ran {other}" for other in others
        ]
        lacking += _other_kernels(self.backend, call, {one.module for one in own})
        figure = f"attention calls of {self.backend}"
        return self.acted(figure, **sums, lacking=(*lacking, *ignored_masks(call), *empty_steps(sums, call)))

    def _set_in(self, denoiser: Any) -> None:
        with _keep_active_backend():
            try:
                denoiser.set_attention_backend(self.backend)
            except (RuntimeError, ValueError) as error:
                msg = f"attention_backend(backend={self.backend!r}) cannot be used here: {error}"
                raise RecipeError(msg) from error


def _other_kernels(backend: str, call: CallEvidence, modules: Container[str]) -> list[str]:
    """Return a line if a backend ran another kernel of torch than its own: libraries fall back without a warning."""
    kernel = _KERNELS.get(backend)
    if kernel == _ANY:
        return []
    seen = [one for one in work_of(call, [OperationKind.ATTENTION]) if one.module in modules and _SDPA in one.name]
    others = [one for one in seen if kernel is None or kernel not in one.name]
    names = ", ".join(sorted({one.name for one in others}))
    return [f"{sum(one.count for one in others)} attention calls ran {names}"] if others else []


def processors_of(denoiser: Any) -> list[Any]:
    """Return the processors of a denoiser's attention layers."""
    return [part.processor for part in denoiser.modules() if hasattr(part, "processor")]


def _accepts_backend(denoiser: Any) -> bool:
    return any(hasattr(processor, "_attention_backend") for processor in processors_of(denoiser))


def _backend_of(processor: Any) -> str:
    if not hasattr(processor, "_attention_backend"):
        return f"{type(processor).__name__}, which accepts none"
    chosen = processor._attention_backend  # noqa: SLF001 - diffusers has no public accessor
    return "diffusers' default" if chosen is None else str(getattr(chosen, "value", chosen))


@contextmanager
def _keep_active_backend() -> Iterator[None]:
    """Restore diffusers' default backend, which applies to every other model of the process."""
    before, _ = _AttentionBackendRegistry.get_active_backend()
    try:
        yield
    finally:
        _AttentionBackendRegistry.set_active_backend(before)
