"""Runs a pipeline once on a simulated GPU and records the counts of each phase of the call."""

import enum
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pytest_diffopt.errors import DiffoptError, PipelineError
from pytest_diffopt.probes.denoise_loop import DenoiseLoop, watch_denoise_loop
from pytest_diffopt.probes.on_simulated_gpu import moved, on_simulated_gpu
from pytest_diffopt.records.code_location import CodeLocation
from pytest_diffopt.simulated_gpu import AttentionChoice, Counts, GPUModel, SimulatedGPU, Sync


class Stage(enum.Enum):
    """The phases of a call outside the denoise loop."""

    ENCODE = "encode"
    DECODE = "decode"


@dataclass(frozen=True, kw_only=True, slots=True)
class Phase:
    """One phase of a call.

    Attributes:
        name: `encode`, `step 1`, `decode`.
        counts: work and memory; the peak is this phase's peak.
        syncs: each host-device synchronization, in order.
        attention: the attention kernels that CUDA would choose, with the number of calls in this phase.
    """

    name: str
    counts: Counts
    syncs: tuple[Sync, ...] = ()
    attention: tuple[AttentionChoice, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class PipelineProfile:
    """One call of a pipeline on a simulated GPU.

    Attributes:
        gpu_model: the simulated GPU model.
        weights_bytes: bytes copied to the GPU before the call.
        encode: everything before the denoise loop.
        steps: the denoise steps, in order.
        decode: everything outside the denoise loop after it has begun.
        peak_memory_bytes: most bytes that were allocated at one moment.
        peak_holders: the lines that held them, with their bytes, the largest first.
        unmodelled: operations without a shape rule or a known cost.
        placeholders: lines that read values that do not exist, which returned zeros.
    """

    gpu_model: GPUModel
    weights_bytes: int
    encode: Phase
    steps: tuple[Phase, ...]
    decode: Phase
    peak_memory_bytes: int
    peak_holders: tuple[tuple[CodeLocation, int], ...]
    unmodelled: tuple[str, ...]
    placeholders: tuple[CodeLocation, ...]

    @property
    def all_steps(self) -> Phase:
        """The whole denoise loop."""
        return merged(f"all {len(self.steps)} steps", self.steps)

    @property
    def phases(self) -> tuple[Phase, ...]:
        """Every phase of the call, in order."""
        return self.encode, *self.steps, self.decode

    @property
    def total(self) -> Phase:
        """The whole call, without the move of the pipeline to the GPU."""
        return merged("total", self.phases)


def merged(name: str, phases: Iterable[Phase]) -> Phase:
    """Return several phases merged into one."""
    phases = tuple(phases)
    attention: Counter[AttentionChoice] = Counter()
    for phase in phases:
        attention += _by_choice(phase.attention)
    return Phase(
        name=name,
        counts=sum((phase.counts for phase in phases), Counts()),
        syncs=tuple(sync for phase in phases for sync in phase.syncs),
        attention=_as_choices(attention),
    )


def profile_call(pipeline: Any, inputs: Mapping[str, Any], *, gpu_model: str) -> PipelineProfile:
    """Call a pipeline once on a simulated GPU.

    Raises:
        SimulationError: the GPU model is unknown.
        ProbeError: the pipeline has no denoise loop.
        PipelineError: the call failed.
    """
    with on_simulated_gpu(pipeline, gpu_model=gpu_model, computes_small=False) as gpu:
        clock = _PhaseClock(gpu)
        arguments = moved(dict(inputs), gpu.device)
        with watch_denoise_loop(pipeline, clock.follow) as loop:
            clock.enter(Stage.ENCODE)
            _call(pipeline, arguments)
            clock.enter(None)
    loop.require_entered(pipeline)
    return _profile(gpu, loop, clock)


def _call(pipeline: Any, arguments: Mapping[str, Any]) -> None:
    try:
        pipeline(**arguments)
    except DiffoptError:
        raise
    except Exception as error:
        given = ", ".join(arguments) or "nothing"
        msg = f"{type(pipeline).__name__} failed when called with {given}: {type(error).__name__}: {error}"
        raise PipelineError(msg) from error


class _PhaseClock:
    """Sets the phase of the simulated GPU, and counts the attention kernels of each phase."""

    def __init__(self, gpu: SimulatedGPU) -> None:
        self.attention: dict[Hashable | None, Counter[AttentionChoice]] = {}
        self._gpu = gpu
        self._phase: Hashable | None = None
        self._seen: Counter[AttentionChoice] = Counter()

    def follow(self, step: int | None) -> None:
        """Enter a denoise step; None leaves the loop."""
        self.enter(Stage.DECODE if step is None else step)

    def enter(self, phase: Hashable | None) -> None:
        """Enter a phase; None is outside every phase."""
        now = _by_choice(self._gpu.attention)
        self.attention[self._phase] = self.attention.get(self._phase, Counter()) + (now - self._seen)
        self._seen, self._phase = now, phase
        self._gpu.enter_phase(phase)


def _by_choice(choices: Iterable[AttentionChoice]) -> Counter[AttentionChoice]:
    return Counter({replace(choice, count=0): choice.count for choice in choices})


def _as_choices(counts: Counter[AttentionChoice]) -> tuple[AttentionChoice, ...]:
    return tuple(replace(choice, count=count) for choice, count in counts.items())


def _profile(gpu: SimulatedGPU, loop: DenoiseLoop, clock: _PhaseClock) -> PipelineProfile:
    counts, syncs = gpu.phases, gpu.syncs

    def phase(name: str, *keys: Hashable) -> Phase:
        return Phase(
            name=name,
            counts=sum((counts.get(key, Counts()) for key in keys), Counts()),
            syncs=tuple(sync for sync in syncs if sync.phase in keys),
            attention=_as_choices(sum((clock.attention.get(key, Counter()) for key in keys), Counter())),
        )

    last = loop.num_steps - 1
    steps = [phase(f"step {number + 1}", number) for number in range(last)]
    # Work after the last update but inside the loop belongs to the last step.
    steps.append(phase(f"step {last + 1}", last, last + 1))
    return PipelineProfile(
        gpu_model=gpu.gpu_model,
        weights_bytes=counts.get(None, Counts()).bytes_to_device,
        encode=phase("encode", Stage.ENCODE),
        steps=tuple(steps),
        decode=phase("decode", Stage.DECODE),
        peak_memory_bytes=max(one.peak_memory_bytes for key, one in counts.items() if key is not None),
        peak_holders=gpu.peak_holders,
        unmodelled=gpu.unmodelled,
        placeholders=tuple(dict.fromkeys(where for _, where in gpu.placeholders)),
    )
