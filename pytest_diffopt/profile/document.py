"""A profile as JSON: raw numbers, with units in the names."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from pytest_diffopt.profile.phases import Phase, PipelineProfile
from pytest_diffopt.profile.target import Target
from pytest_diffopt.records.code_location import CodeLocation
from pytest_diffopt.simulated_gpu import AttentionChoice
from pytest_diffopt.simulated_gpu.cost.roofline import bound_of, main_dtype, peak_tflops, seconds_of

_SCHEMA_VERSION = 1


def as_json(profile: PipelineProfile, target: Target) -> str:
    """Return a profile as JSON, with each step separately and sorted keys."""
    written = json.dumps(_document(profile, target), indent=2, sort_keys=True)
    return written.replace("##[", "\\u0023#[")  # the same text; a GitHub Actions runner reads `##[` as a command


def _document(profile: PipelineProfile, target: Target) -> dict[str, Any]:
    total = profile.total
    return {
        "schema_version": _SCHEMA_VERSION,
        "pipeline": target.name,
        "origin": target.origin,
        "recipe": target.recipe,
        "inputs": {name: value for name, value in _without_generator(target) if isinstance(value, str | int | float)},
        "gpu_model": _gpu(profile),
        "weights_bytes": profile.weights_bytes,
        "encode": _phase(profile.encode, profile),
        "steps": [_phase(step, profile) for step in profile.steps],
        "decode": _phase(profile.decode, profile),
        "total": asdict(total.counts)
        | {
            "syncs": len(total.syncs),
            "bound_seconds": seconds_of((phase.counts for phase in profile.phases), profile.gpu_model),
        },
        "peak_memory_bytes": profile.peak_memory_bytes,
        "peak_holders": [{"bytes": nbytes} | _place(where) for where, nbytes in profile.peak_holders],
        "unmodelled": list(profile.unmodelled),
        "placeholders": [_place(where) for where in profile.placeholders],
    }


def _without_generator(target: Target) -> Iterable[tuple[str, Any]]:
    return ((name, target.inputs[name]) for name in target.inputs if name != "generator")


def _gpu(profile: PipelineProfile) -> dict[str, Any]:
    dtype = main_dtype(profile.total.counts)
    return asdict(profile.gpu_model) | {
        "capability": list(profile.gpu_model.capability),
        "bound_dtype": dtype,
        "bound_tflops": peak_tflops(profile.gpu_model, dtype),
    }


def _phase(phase: Phase, profile: PipelineProfile) -> dict[str, Any]:
    bound = bound_of(phase.counts, profile.gpu_model)
    syncs = Counter((sync.where, sync.shown_as, sync.kind.value, sync.is_reported) for sync in phase.syncs)
    return {
        "name": phase.name,
        **asdict(phase.counts),
        "syncs": [_sync(*fields, count=count) for fields, count in syncs.items()],
        "attention": [_attention(choice) for choice in phase.attention],
        "bound_seconds": bound.seconds,
        "bound_by": bound.limit.name.lower(),
    }


def _sync(where: CodeLocation, operation: str, kind: str, is_reported: bool, *, count: int) -> dict[str, Any]:  # noqa: FBT001
    return {"count": count, "operation": operation, "kind": kind, "is_reported": is_reported} | _place(where)


def _place(where: CodeLocation) -> dict[str, Any]:
    return asdict(where)


def _attention(choice: AttentionChoice) -> dict[str, Any]:
    return asdict(choice) | {"kernel": choice.kernel.value}
