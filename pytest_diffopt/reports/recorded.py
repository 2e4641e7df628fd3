"""Convert the plain values of a ledger entry back into a record of the right type."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import msgspec

from pytest_diffopt.records import (
    AppliedRecord,
    CalibrationRecord,
    CompilationRecord,
    CompileCountRecord,
    Concern,
    CountRecord,
    EffectRecord,
    FewerKernelsRecord,
    ImageRecord,
    KernelRecord,
    LatencyRecord,
    MemoryGrowthRecord,
    MemoryRecord,
    NumericsRecord,
    OwnRecord,
    PairedRecord,
    RatioRecord,
    RecompileRecord,
    Record,
    RepeatabilityRecord,
    SyncRecord,
)
from pytest_diffopt.session.ledger import LedgerEntry

#: The record types of each concern.
RECORD_TYPES: Mapping[Concern, tuple[type[Record], ...]] = {
    Concern.APPLIED: (AppliedRecord,),
    Concern.EFFECT: (EffectRecord,),
    Concern.GRAPH_BREAKS: (CompilationRecord,),
    Concern.RECOMPILES: (RecompileRecord,),
    Concern.COMPILATION: (CompileCountRecord,),
    Concern.NUMERICS: (NumericsRecord,),
    Concern.SYNCS: (SyncRecord,),
    Concern.IMAGES: (ImageRecord,),
    Concern.REPEATABILITY: (RepeatabilityRecord,),
    Concern.COUNTS: (CountRecord,),
    Concern.KERNELS: (FewerKernelsRecord, KernelRecord),
    Concern.LATENCY: (RatioRecord, PairedRecord, CalibrationRecord, LatencyRecord),
    Concern.MEMORY: (MemoryGrowthRecord, MemoryRecord),
    Concern.OWN: (OwnRecord,),
}


def record_of(entry: LedgerEntry) -> Record:
    """Return the record of an entry as an instance of its record type.

    Raises:
        msgspec.ValidationError: the values do not match any record type of the concern.
    """
    return msgspec.convert(entry.record, record_type(entry.verdict.concern, entry.record))


def record_type(concern: Concern, record: Mapping[str, Any]) -> type[Record]:
    """Return the first record type of the concern whose required keys are all present, else the last type.

    Args:
        concern: the concern of the verdict.
        record: the record as plain values.
    """
    types = RECORD_TYPES[concern]
    return next((one for one in types if _required(one) <= record.keys()), types[-1])


def _required(type_: type[Record]) -> frozenset[str]:
    missing = dataclasses.MISSING
    return frozenset(
        one.name for one in dataclasses.fields(type_) if one.default is missing and one.default_factory is missing
    )
