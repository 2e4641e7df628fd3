"""How each denoiser compiles: as a whole, by regions, and again for varied calls.

Dynamo alone runs; no code is generated.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import torch

from benchmarks.atlas.entries import Break, Denoiser, Recompile
from benchmarks.atlas.measured_call import MeasuredCall
from benchmarks.atlas.simulated import place, subject_of
from benchmarks.atlas.variations import Variation, variations
from benchmarks.diffusers_tests.cases import seed
from pytest_diffopt.pipelines.components import DENOISER, component_names
from pytest_diffopt.probes.calls import repeatable_call
from pytest_diffopt.probes.compile_log import CompileLog
from pytest_diffopt.records import CompiledFrame

_BACKEND = "eager"  # graph breaks and recompiles are Dynamo's; a compiler behind it takes minutes
_OTHER_DENOISERS = ("prior", "decoder")
_LONGEST_REASON = 200


def measure_denoisers(measured: MeasuredCall) -> tuple[Denoiser, ...]:
    """Compile each denoiser of a pipeline and make varied calls.

    Raises:
        LookupError: the pipeline has no denoiser with a known name.
    """
    pipeline, _inputs = measured.build()
    names = [name for part in (DENOISER, *_OTHER_DENOISERS) for name in component_names(pipeline, part)]
    if not names:
        parts = ", ".join(name for name, one in pipeline.components.items() if isinstance(one, torch.nn.Module))
        message = f"no denoiser among: {parts}"
        raise LookupError(message)
    return tuple(_denoiser(measured, name) for name in dict.fromkeys(names))


def _denoiser(measured: MeasuredCall, name: str) -> Denoiser:
    pipeline, inputs = measured.build()
    model = pipeline.components[name]
    blocks = tuple(getattr(model, "_repeated_blocks", None) or ())
    tried = [one for one in variations(pipeline, inputs) if measured.accepts(one.inputs)]
    torch.compiler.reset()
    with CompileLog() as log, torch.no_grad():
        model.compile(backend=_BACKEND)
        frames, breaks = _compiled_by(log, pipeline, inputs)
        recompiles = [*_recompiles(Variation(label="the first call", inputs=inputs), frames)]
        for variation in tried:
            more, _breaks = _compiled_by(log, pipeline, variation.inputs)
            recompiles += _recompiles(variation, more)
    is_regional, why_not = _regional(measured, name, blocks)
    return Denoiser(
        component=name,
        model=type(model).__name__,
        graphs=sum(one.is_compiled and one.failed_guard is None for one in frames),
        breaks=breaks,
        is_regional=is_regional,
        regional_reason=why_not,
        repeated_blocks=blocks,
        recompiles=tuple(recompiles),
        variations=tuple(one.label for one in tried),
    )


def _compiled_by(
    log: CompileLog, pipeline: Any, inputs: Mapping[str, Any]
) -> tuple[tuple[CompiledFrame, ...], tuple[Break, ...]]:
    start = log.mark()
    seed()
    repeatable_call(pipeline, (), inputs)()
    record = log.since(start, subject_of(pipeline))
    breaks = [Break(where=place(one.where), reason=_short(one.reason)) for one in record.breaks]
    return record.frames, tuple(breaks)


def _recompiles(variation: Variation, frames: tuple[CompiledFrame, ...]) -> Iterator[Recompile]:
    for frame in frames:
        if frame.failed_guard is not None:
            yield Recompile(
                variation=variation.label,
                region=frame.region,
                guard=_short(frame.failed_guard.text),
                changes_shape=variation.changes_shape,
            )


def _regional(measured: MeasuredCall, name: str, blocks: tuple[str, ...]) -> tuple[bool | None, str]:
    if not blocks:
        return None, "the class names no repeated blocks"
    pipeline, inputs = measured.build()
    torch.compiler.reset()
    pipeline.components[name].compile_repeated_blocks(backend=_BACKEND, fullgraph=True)
    seed()
    try:
        with torch.no_grad():
            repeatable_call(pipeline, (), inputs)()
    except Exception as error:  # noqa: BLE001 - Dynamo's errors have no common class
        return False, _short(f"{type(error).__name__}: {error}")
    return True, ""


def _short(text: str) -> str:
    return " ".join(text.split())[:_LONGEST_REASON]
