"""Records of probes: frozen dataclasses of raw figures with units in their names, and without a verdict."""

from pytest_diffopt.records.applied import AppliedRecord, OptimizationState
from pytest_diffopt.records.audio import AudioDifference
from pytest_diffopt.records.compilation import (
    BreakKind,
    CacheResult,
    CompilationRecord,
    CompileCountRecord,
    CompiledFrame,
    CompiledModule,
    FailedGuard,
    GraphBreak,
    GuardKind,
    RecompileRecord,
    RegionCounts,
    VariationRecompiles,
)
from pytest_diffopt.records.counts import CountRecord, ModuleCounts, PhaseCounts
from pytest_diffopt.records.denoiser import DenoiserEvidence
from pytest_diffopt.records.effects import (
    NO_CONTEXT,
    TAKEN_FROM_CACHE,
    BackendCalls,
    CallEvidence,
    CompiledCalls,
    EffectRecord,
    Layout,
    ModuleCalls,
    OperationKind,
    Operations,
    OptimizationEffect,
    Residency,
    SchedulerCalls,
    VaeCalls,
)
from pytest_diffopt.records.generated_code import ExternalCall, GeneratedCode, GeneratedKernel
from pytest_diffopt.records.gpu_state import GPUProcess, GPUReading, GPURecord, Slowdown
from pytest_diffopt.records.images import (
    ErrorSize,
    ImageDifference,
    ImageFiles,
    ImageRecord,
    LatentDifference,
    ModuleDrift,
    RepeatabilityRecord,
    RoundingNoise,
    StepDrift,
)
from pytest_diffopt.records.kernels import FewerKernelsRecord, KernelRecord, PhaseKernels
from pytest_diffopt.records.latency import (
    CalibrationRecord,
    LatencyRecord,
    PairedBlock,
    PairedRecord,
    PairedTiming,
    RatioRecord,
)
from pytest_diffopt.records.memory import CallMemory, MemoryGrowthRecord, MemoryHolder, MemoryRecord
from pytest_diffopt.records.numerics import (
    Float64Errors,
    NumericsRecord,
    NumericsReference,
    OutputDifference,
    UncompiledCalls,
)
from pytest_diffopt.records.own import OwnRecord
from pytest_diffopt.records.subject import Concern, Device, Environment, Subject, Weights
from pytest_diffopt.records.syncs import ObservedSync, SyncRecord
from pytest_diffopt.records.timeline import PhaseTimeline, SyncCost, TimelineRecord
from pytest_diffopt.records.videos import MisplacedFrame, VideoDifference, VideoFiles

Record = (
    AppliedRecord
    | EffectRecord
    | CountRecord
    | CompilationRecord
    | CompileCountRecord
    | RecompileRecord
    | NumericsRecord
    | SyncRecord
    | ImageRecord
    | RepeatabilityRecord
    | LatencyRecord
    | RatioRecord
    | PairedRecord
    | CalibrationRecord
    | MemoryRecord
    | MemoryGrowthRecord
    | KernelRecord
    | FewerKernelsRecord
    | OwnRecord
)

__all__ = [
    "NO_CONTEXT",
    "TAKEN_FROM_CACHE",
    "AppliedRecord",
    "AudioDifference",
    "BackendCalls",
    "BreakKind",
    "CacheResult",
    "CalibrationRecord",
    "CallEvidence",
    "CallMemory",
    "CompilationRecord",
    "CompileCountRecord",
    "CompiledCalls",
    "CompiledFrame",
    "CompiledModule",
    "Concern",
    "CountRecord",
    "DenoiserEvidence",
    "Device",
    "EffectRecord",
    "Environment",
    "ErrorSize",
    "ExternalCall",
    "FailedGuard",
    "FewerKernelsRecord",
    "Float64Errors",
    "GPUProcess",
    "GPUReading",
    "GPURecord",
    "GeneratedCode",
    "GeneratedKernel",
    "GraphBreak",
    "GuardKind",
    "ImageDifference",
    "ImageFiles",
    "ImageRecord",
    "KernelRecord",
    "LatencyRecord",
    "LatentDifference",
    "Layout",
    "MemoryGrowthRecord",
    "MemoryHolder",
    "MemoryRecord",
    "MisplacedFrame",
    "ModuleCalls",
    "ModuleCounts",
    "ModuleDrift",
    "NumericsRecord",
    "NumericsReference",
    "ObservedSync",
    "OperationKind",
    "Operations",
    "OptimizationEffect",
    "OptimizationState",
    "OutputDifference",
    "OwnRecord",
    "PairedBlock",
    "PairedRecord",
    "PairedTiming",
    "PhaseCounts",
    "PhaseKernels",
    "PhaseTimeline",
    "RatioRecord",
    "RecompileRecord",
    "Record",
    "RegionCounts",
    "RepeatabilityRecord",
    "Residency",
    "RoundingNoise",
    "SchedulerCalls",
    "Slowdown",
    "StepDrift",
    "Subject",
    "SyncCost",
    "SyncRecord",
    "TimelineRecord",
    "UncompiledCalls",
    "VaeCalls",
    "VariationRecompiles",
    "VideoDifference",
    "VideoFiles",
    "Weights",
]
