"""The records of a ledger as their own types again: a ledger keeps them as plain values."""

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
    ImageRecord,
    LatencyRecord,
    MemoryRecord,
    NumericsRecord,
    PairedRecord,
    RatioRecord,
    RecompileRecord,
    Record,
    RepeatabilityRecord,
    SyncRecord,
)
from pytest_diffopt.session.ledger import LedgerEntry

#: The records that a verdict of each concern can be about.
RECORD_TYPES: Mapping[Concern, tuple[type[Record], ...]] = {
    Concern.APPLIED: (AppliedRecord,),
    Concern.GRAPH_BREAKS: (CompilationRecord,),
    Concern.RECOMPILES: (RecompileRecord,),
    Concern.COMPILATION: (CompileCountRecord,),
    Concern.NUMERICS: (NumericsRecord,),
    Concern.SYNCS: (SyncRecord,),
    Concern.IMAGES: (ImageRecord,),
    Concern.REPEATABILITY: (RepeatabilityRecord,),
    Concern.COUNTS: (CountRecord,),
    Concern.LATENCY: (RatioRecord, PairedRecord, CalibrationRecord, LatencyRecord),
    Concern.MEMORY: (MemoryRecord,),
}


def record_of(entry: LedgerEntry) -> Record:
    """Return the record of an entry, of its own type.

    Raises:
        msgspec.ValidationError: it is not what a probe of this concern writes down.
    """
    return msgspec.convert(entry.record, record_type(entry.verdict.concern, entry.record))


def record_type(concern: Concern, record: Mapping[str, Any]) -> type[Record]:
    """Return the type of a record: the first of its concern whose every key without a default is there, else the last.

    Args:
        concern: what the record is about.
        record: its plain values.
    """
    types = RECORD_TYPES[concern]
    return next((one for one in types if _required(one) <= record.keys()), types[-1])


def _required(type_: type[Record]) -> frozenset[str]:
    missing = dataclasses.MISSING
    return frozenset(
        one.name for one in dataclasses.fields(type_) if one.default is missing and one.default_factory is missing
    )
