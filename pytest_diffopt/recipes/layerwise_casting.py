"""Layerwise casting: weights stored in float8 and cast to the computing dtype in each call."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from typing_extensions import override

from pytest_diffopt.errors import RecipeError
from pytest_diffopt.pipelines.components import denoisers_of
from pytest_diffopt.recipes.effect_reading import empty_steps, summed, work_of
from pytest_diffopt.recipes.optimization import Optimization, Stage
from pytest_diffopt.recipes.stored_dtypes import plain_name
from pytest_diffopt.records import CallEvidence, ModuleCalls, OptimizationEffect, OptimizationState


@dataclass(frozen=True, kw_only=True)
class LayerwiseCasting(Optimization):
    """`denoiser.enable_layerwise_casting(...)`: half of bfloat16's memory, at the price of a cast in each call.

    Attributes:
        storage: the dtype in which weights are stored between calls.
        compute: the dtype in which layers compute; None keeps the dtype of the denoiser.
    """

    name: ClassVar[str] = "layerwise_casting"
    stage: ClassVar[Stage] = Stage.STORAGE
    affects_precision: ClassVar[bool] = True
    conflicts: ClassVar[dict[str, str]] = {
        "int8_dynamic": "a quantized weight cannot be cast to float8",
        "int8_weight_only": "a quantized weight cannot be cast to float8",
        "int4_weight_only": "a quantized weight cannot be cast to float8",
        "fp8_dynamic": "a quantized weight cannot be cast to float8",
    }

    storage: Literal["float8_e4m3fn", "float8_e5m2"] = "float8_e4m3fn"
    compute: Literal["float32", "bfloat16", "float16"] | None = None

    @override
    def apply(self, pipeline: Any) -> None:
        for name, denoiser in denoisers_of(pipeline).items():
            if not callable(getattr(denoiser, "enable_layerwise_casting", None)):
                msg = f"layerwise_casting needs enable_layerwise_casting(), and {type(denoiser).__name__} has none"
                raise RecipeError(msg)
            compute = getattr(torch, self.compute) if self.compute else denoiser.dtype
            denoiser.enable_layerwise_casting(storage_dtype=self._storage, compute_dtype=compute)
            if not any(True for _ in self._stored(denoiser)):
                msg = f"layerwise_casting has no effect: it skips every layer of {name} ({type(denoiser).__name__})"
                raise RecipeError(msg)

    @override
    def verify(self, pipeline: Any) -> OptimizationState:
        found, missing = 0, []
        for name, denoiser in denoisers_of(pipeline).items():
            count = len(list(self._stored(denoiser)))
            found += count
            if not count:
                missing.append(f"no parameter of {name} is stored in {self.storage}")
        return self.state(f"{found} parameters are stored in {self.storage}", missing)

    @override
    def effect(self, pipeline: Any, call: CallEvidence) -> OptimizationEffect:
        stored = [one for one in call.modules if one.stored_dtype == self.storage]
        computed = {one.module: one.dtype for one in work_of(call)}
        cast = [one for one in stored if computed.get(one.module, self.storage) != self.storage]
        sums = summed(cast, call)
        figure = f"calls of layers stored in {self.storage} and computed in {_dtypes(cast, computed)}"
        return self.acted(figure, **sums, lacking=tuple(empty_steps(sums, call)))

    @override
    def takes_over(self, pipeline: Any) -> Iterable[torch.Tensor]:
        for denoiser in denoisers_of(pipeline).values():
            yield from self._stored(denoiser)

    @property
    def _storage(self) -> torch.dtype:
        dtype: torch.dtype = getattr(torch, self.storage)
        return dtype

    def _stored(self, denoiser: torch.nn.Module) -> Iterator[torch.Tensor]:
        return (one for one in denoiser.parameters() if plain_name(one.dtype) == self.storage)


def _dtypes(cast: Iterable[ModuleCalls], computed: Mapping[str, str]) -> str:
    return " and ".join(sorted({computed[one.module] for one in cast})) or "another dtype"
