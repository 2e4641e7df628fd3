"""Example reports with every kind of finding, judged by the real guards."""

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
from PIL import Image

from pytest_diffopt.baselines.documents import (
    CompileBaseline,
    CountBaseline,
    KernelBaseline,
    LatencyBaseline,
    MemoryBaseline,
)
from pytest_diffopt.baselines.limit_changes import BaselineChange, ChangeKind, LimitChange
from pytest_diffopt.baselines.since_revision import BaselineComparison
from pytest_diffopt.environment import slug
from pytest_diffopt.guards.applied import judge_applied
from pytest_diffopt.guards.calibration import judge_calibration
from pytest_diffopt.guards.compilation import judge_graph_breaks
from pytest_diffopt.guards.compile_counts import judge_compile_counts
from pytest_diffopt.guards.counts import judge_counts
from pytest_diffopt.guards.effects import judge_effects
from pytest_diffopt.guards.faster import judge_ratio
from pytest_diffopt.guards.image_thresholds import ImageThresholds
from pytest_diffopt.guards.images import judge_images
from pytest_diffopt.guards.kernels import judge_fewer_kernels, judge_kernels
from pytest_diffopt.guards.latency import judge_latency
from pytest_diffopt.guards.memory import judge_memory
from pytest_diffopt.guards.memory_growth import judge_memory_growth
from pytest_diffopt.guards.numerics import judge_numerics
from pytest_diffopt.guards.own import judge_own
from pytest_diffopt.guards.paired_latency import PairedRule, judge_paired
from pytest_diffopt.guards.recompiles import judge_recompiles
from pytest_diffopt.guards.repeatability import judge_repeatability
from pytest_diffopt.guards.syncs import judge_syncs
from pytest_diffopt.guards.verdict import Verdict
from pytest_diffopt.pipelines.scale import Scale
from pytest_diffopt.records import (
    AppliedRecord,
    BreakKind,
    CalibrationRecord,
    CallMemory,
    CompilationRecord,
    CompileCountRecord,
    CompiledFrame,
    CompiledModule,
    CountRecord,
    DenoiserEvidence,
    Device,
    EffectRecord,
    Environment,
    ErrorSize,
    ExternalCall,
    FailedGuard,
    FewerKernelsRecord,
    GeneratedCode,
    GeneratedKernel,
    GraphBreak,
    GuardKind,
    ImageDifference,
    ImageFiles,
    ImageRecord,
    KernelRecord,
    LatencyRecord,
    MemoryGrowthRecord,
    MemoryHolder,
    MemoryRecord,
    ModuleCounts,
    ModuleDrift,
    NumericsRecord,
    ObservedSync,
    OptimizationEffect,
    OptimizationState,
    OutputDifference,
    OwnRecord,
    PairedBlock,
    PairedRecord,
    PhaseCounts,
    PhaseKernels,
    PhaseTimeline,
    RatioRecord,
    RecompileRecord,
    RegionCounts,
    RepeatabilityRecord,
    RoundingNoise,
    StepDrift,
    Subject,
    SyncRecord,
    TimelineRecord,
    VariationRecompiles,
    Weights,
)
from pytest_diffopt.records.code_location import CodeLocation
from pytest_diffopt.reports.document import SCHEMA_VERSION, Report, ReportedEnvironment, Shard
from pytest_diffopt.session.ledger import BrokenTest, CaseResult, LedgerEntry
from pytest_diffopt.session.ledger_entries import entry_of
from pytest_diffopt.session.unmet_requirements import UnmetRequirement

MS = 1_000_000
SDXL = Subject(
    pipeline="sdxl",
    scale="tiny",
    recipe="bf16 + sdpa + channels_last + fuse_qkv + compile",
    weights=Weights.PRETRAINED,
    device=Device.SIMULATED,
)
#: The GPUs of a report of one session.
NO_GPUS = {"": ""}
ON_GPU = replace(SDXL, scale="full", device=Device.CUDA)
THEN = Environment(device_slug="nvidia-h200", device_name="NVIDIA H200", versions={"torch": "2.12.1"})
NOW = Environment(device_slug="nvidia-h200", device_name="NVIDIA H200", versions={"torch": "2.13.0"})
STEP = CodeLocation(
    file="diffusers/schedulers/scheduling_ddim.py",
    line=449,
    function="step",
    source="alpha_prod_t_prev = self.alphas_cumprod[prev_timestep] if prev_timestep >= 0 else self.final_alpha_cumprod",
)
GATE = CodeLocation(file="models/own.py", line=12, function="gate", source='print(f"{x.mean()} <b>")')


def applied(subject: Subject = SDXL, *, is_good: bool = True) -> LedgerEntry:
    """Return an entry in which all optimizations are applied, or one is missing."""
    missing = () if is_good else ("unet.conv_in is contiguous", "unet.conv_out is contiguous")
    states = (
        OptimizationState(name="bf16", found="686 of 686 parameters are bfloat16"),
        OptimizationState(name="channels_last", found="2 of 4 convolutions are channels_last", missing=missing),
    )
    record = AppliedRecord(subject=subject, optimizations=states)
    return entry("test_every_optimization_is_applied", judge_applied(record), record)


def effect(subject: Subject = SDXL) -> LedgerEntry:
    """Return an entry in which one optimization has no effect."""
    effects = (
        OptimizationEffect(name="bf16", figure="matrix products in bfloat16", value=1204, per_step={"": (602, 602)}),
        OptimizationEffect(name="fuse_qkv", figure="calls of fused projections", lacking=("22 layers were separate",)),
    )
    record = EffectRecord(subject=subject, num_steps=2, operations=1204, seen_by="the CPU", effects=effects)
    return entry("test_every_optimization_is_applied", judge_effects(record), record)


def syncs(subject: Subject = SDXL, *, per_step: int = 3, num_steps: int = 6) -> LedgerEntry:
    """Return an entry with this number of syncs per step."""
    seen = tuple(
        ObservedSync(kind="read by the host", operation=".item()", where=STEP if number % 2 else GATE, step=step)
        for step in range(num_steps)
        for number in range(per_step)
    )
    record = SyncRecord(
        subject=subject,
        num_steps=num_steps,
        syncs=seen,
        seen_by="the simulated GPU",
        denoiser=DenoiserEvidence(calls={"unet": (1,) * num_steps}, operations={"unet": (686,) * num_steps}),
    )
    return entry("test_denoise_loop_never_syncs", judge_syncs(record), record)


def frame(failed: FailedGuard | None = None, number: int = 0) -> CompiledFrame:
    """Return a compiled frame of the UNet."""
    return CompiledFrame(
        region="UNet2DConditionModel.forward",
        where=GATE,
        compile_id=f"0/{number}",
        operations=686,
        guards=1204,
        is_compiled=True,
        compile_ns=2_410 * MS,
        failed_guard=failed,
        generated_kernels=119,
        external_calls=934,
        graph_partitions=3,
        code=GeneratedCode(
            kernels=(
                GeneratedKernel(
                    name="triton_poi_fused_gelu_mul_3",
                    operations=("aten.gelu", "aten.mul"),
                    launches=2,
                    registers=32,
                    shared_bytes=0,
                    spilled_bytes=0,
                    warps=4,
                ),
            ),
            external_calls=(
                ExternalCall(
                    function="torch.ops.aten.cumprod.default",
                    library="torch",
                    calls=1,
                    fallback="Inductor has no code for it",
                ),
            ),
            reused_buffers=4,
            default_choices=1,
        ),
    )


def graph_breaks(subject: Subject = SDXL, *, is_good: bool = True, compile_ns: int = 2_410 * MS) -> LedgerEntry:
    """Return an entry without a graph break, or with one at a `print`."""
    found = GraphBreak(
        where=GATE,
        reason="Failed to trace builtin operator: print",
        region="UNet2DConditionModel.forward",
        kind=BreakKind.LEFT_THE_GRAPH,
        code="GB0059",
        hints=("Remove the print statement",),
    )
    record = CompilationRecord(
        subject=subject,
        frames=(replace(frame(), compile_ns=compile_ns),),
        breaks=() if is_good else (found,),
        modules=(CompiledModule(name="unet", region="UNet2DConditionModel.forward", instances=1, has_run=True),),
    )
    return entry("test_compiles_to_one_graph", judge_graph_breaks(record), record)


def recompiles(subject: Subject = SDXL, *, is_good: bool = True) -> LedgerEntry:
    """Return an entry without a recompile, or with one for another guidance scale."""
    failed = FailedGuard(
        kind=GuardKind.VALUE,
        source="guidance_scale",
        old="float 5.0",
        new="float 7.5",
        text="guidance_scale == 5.0",
        where=GATE,
    )
    again = VariationRecompiles(variation="guidance_scale=7.5", frames=() if is_good else (frame(failed, 1),))
    record = RecompileRecord(
        subject=subject,
        warmup_frames=(frame(),),
        variations=(again, VariationRecompiles(variation="another prompt", frames=())),
    )
    return entry("test_never_recompiles", judge_recompiles(record), record)


def compile_counts(subject: Subject = SDXL, *, breaks: int = 0) -> LedgerEntry:
    """Return an entry with this number of graph breaks, where 0 is accepted."""
    accepted = RegionCounts(region="UNet.forward", graphs=1, breaks=0, recompiles=0, operations=686, guards=1204)
    then = CompileCountRecord(subject=subject, regions=(accepted,))
    baseline = CompileBaseline.from_record(then, case="test_it", environment=THEN, reason="first")
    now = CompileCountRecord(subject=subject, regions=(replace(accepted, breaks=breaks, graphs=1 + breaks),))
    verdict = judge_compile_counts(now, baseline, environment=NOW, rerun="pytest test_it.py")
    return entry("test_compile_counts", verdict, now)


def numerics(subject: Subject = SDXL, *, differing: int = 0) -> LedgerEntry:
    """Return an entry with this number of values that differ from eager code."""
    difference = OutputDifference(
        module="unet.down_blocks.1",
        output="[0]",
        dtype="bfloat16",
        calls=6,
        values=49_152,
        differing_values=differing,
        max_error=0.031 if differing else 1e-6,
        max_relative_error=0.25 if differing else 1e-6,
        relative_tolerance=0.016,
        absolute_tolerance=1e-5,
    )
    record = NumericsRecord(subject=subject, differences=(difference,), silent=("vae.encoder",) if differing else ())
    return entry("test_compiled_matches_eager", judge_numerics(record), record)


NOISE = RoundingNoise(
    precision="bf16",
    samples=5,
    images=(ErrorSize(max_error=0.05, rms_error=0.004, bias=0.0002),),
    step_errors=(0.01, 0.02, 0.02, 0.03, 0.03, 0.04),
)


def images(
    subject: Subject = SDXL,
    *,
    files: Sequence[ImageFiles | None] = (None,),
    ssim: float = 0.6173,
    lpips: float | None = None,
) -> LedgerEntry:
    """Return an entry with equal images, or with different ones and the drift of their latents."""
    is_good = ssim > 0.99
    difference = ImageDifference(
        ssim=ssim,
        psnr_db=math.inf if is_good else 14.2,
        max_error=0.0 if is_good else 0.91,
        mean_error=0.0 if is_good else 0.13,
        flip=0.0 if is_good else 0.34,
        lpips=lpips,
    )
    errors = (0.001, 0.004, 0.09, 0.18, 0.27, 0.33)
    drift = tuple(StepDrift(step=step, cosine=1 - error / 3, relative_error=error) for step, error in enumerate(errors))
    record = ImageRecord(
        subject=subject,
        differences=tuple(replace(difference, files=kept) for kept in files),
        drift=() if is_good else drift,
        noise=None if is_good else replace(NOISE, images=NOISE.images * len(files)),
        first_module=None
        if is_good
        else ModuleDrift(
            module="unet.mid_block.attentions.0",
            module_type="Transformer2DModel",
            step=2,
            relative_error=0.21,
            input_error=0.004,
        ),
    )
    return entry("test_image", judge_images(record, ImageThresholds()), record)


def repeatability(subject: Subject = SDXL, *, differing: int = 0) -> LedgerEntry:
    """Return an entry with this number of values that differ between two calls."""
    record = RepeatabilityRecord(
        subject=subject, differing_values=differing, values=12_288, max_error=0.2 * bool(differing)
    )
    return entry("test_same_twice", judge_repeatability(record), record)


def counts(subject: Subject = SDXL, *, operations: int = 1204) -> LedgerEntry:
    """Return an entry with this number of operations, where 1204 are accepted."""

    def phase(name: str, number: int) -> PhaseCounts:
        return PhaseCounts(
            phase=name,
            flops=13_500_000_000,
            operations=number,
            bytes_to_device=133_000,
            bytes_to_host=0,
            allocated_bytes=1 << 28,
            peak_memory_bytes=1 << 30,
        )

    def record(number: int, kernel: str) -> CountRecord:
        return CountRecord(
            subject=subject,
            gpu_model="nvidia-h200",
            num_steps=6,
            phases=(phase("before the loop", 580), phase("step 0", number), phase("steps 1-5", number)),
            modules=(ModuleCounts(module="unet", flops=81_000_000_000, operations=6 * number),),
            attention={f"{kernel} 2x10x4096x64 bfloat16": 8},
        )

    accepted, now = record(1204, "flash"), record(operations, "flash" if operations == 1204 else "math")
    baseline = CountBaseline.from_record(accepted, case="test_counts", environment=THEN, reason="first")
    return entry("test_counts", judge_counts(now, baseline, environment=NOW, rerun="pytest test_it.py"), now)


def latency(subject: Subject = ON_GPU, *, milliseconds: float = 2410.0) -> LedgerEntry:
    """Return an entry with this latency, where 2.2 s is accepted."""
    wave = [1.0, 1.003, 0.998, 1.001, 1.004, 0.999, 0.997, 1.002]
    then = LatencyRecord(subject=subject, warmup_ns=(9_000 * MS,), samples_ns=(2200 * MS,) * 5, num_steps=30)
    now = replace(
        then,
        warmup_ns=(round(1.02 * milliseconds * MS),),
        samples_ns=tuple(round(one * milliseconds * MS) for one in wave),
        first_call_ns=41_000 * MS,
        compile_ns=38_500 * MS,
        loops_ns=(round(0.94 * milliseconds * MS),),
    )
    baseline = LatencyBaseline.from_record(
        then, case="test_latency", environment=THEN, margin=0.05, floor_ns=MS, reason="first"
    )
    return entry("test_latency", judge_latency(now, baseline, environment=NOW, rerun="pytest test_it.py"), now)


def latency_without_baseline() -> LedgerEntry:
    """Return a latency entry without a baseline."""
    record = LatencyRecord(subject=ON_GPU, warmup_ns=(9_000 * MS,), samples_ns=(2200 * MS,) * 5, num_steps=30)
    return entry("test_latency_new", judge_latency(record, None, environment=NOW, rerun="pytest test_it.py"), record)


def blocks(slowdown: float, count: int = 40) -> tuple[PairedBlock, ...]:
    """Return interleaved times of base and head, with deterministic noise."""
    return tuple(
        PairedBlock(
            base_ns=(100 * MS + 9_000 * number, 100 * MS - 7_000 * number),
            head_ns=(round((100 * MS + 8_000 * number) * (1 + slowdown)), round(100 * MS * (1 + slowdown))),
        )
        for number in range(count)
    )


def paired(slowdown: float = 0.04, *, count: int = 40) -> LedgerEntry:
    """Return an entry that compares two versions of the code."""
    record = PairedRecord(
        subject=ON_GPU,
        base="main",
        head="the working tree",
        blocks=blocks(slowdown, count),
        blocks_of_pairs=(*([count // 9] * 8), count - 8 * (count // 9)),
        num_steps=30,
    )
    rule = PairedRule.for_case(margin=0.01, num_cases=1, num_regressed=0)
    verdict = judge_paired(record, rule, environment=NOW)
    return entry("test_latency_paired", verdict, record)


@functools.cache
def calibration() -> LedgerEntry:
    """Return an entry that compares the code with itself; thousands of sessions are simulated, so only once."""
    pairs = tuple(blocks(0.001 * (number % 3 - 1), 8) for number in range(30))
    record = CalibrationRecord(subject=ON_GPU, repeats=1, pairs=pairs, spent_seconds=60.0)
    rule = PairedRule.for_case(margin=0.01, num_cases=1, num_regressed=0).sequential
    return entry("test_latency_calibrated", judge_calibration(record, rule=rule, environment=NOW), record)


def ratio() -> LedgerEntry:
    """Return an entry that is 1.5 times as fast as the reference."""
    record = RatioRecord(
        subject=ON_GPU,
        reference=replace(ON_GPU, recipe="bf16"),
        subject_ns=tuple(100 * MS + 10_000 * number for number in range(20)),
        reference_ns=tuple(152 * MS - 20_000 * number for number in range(20)),
    )
    return entry("test_compiled_is_faster", judge_ratio(record, required=1.2), record)


def memory(subject: Subject = ON_GPU, *, mebibytes: int = 1280) -> LedgerEntry:
    """Return an entry with this peak memory, where 1 GiB is accepted."""
    then = MemoryRecord(
        subject=subject,
        peak_allocated_bytes=1 << 30,
        peak_reserved_bytes=1 << 31,
        seen_by="the CUDA allocator",
        operations=4200,
    )
    now = replace(then, peak_allocated_bytes=mebibytes << 20)
    baseline = MemoryBaseline.from_record(
        then, case="test_memory", environment=THEN, margin=0.02, floor_bytes=1 << 20, reason="first"
    )
    return entry("test_memory", judge_memory(now, baseline, environment=NOW, rerun="pytest test_it.py"), now)


def kernels(subject: Subject = ON_GPU, *, gelus: int = 0) -> LedgerEntry:
    """Return an entry with this number of GELUs that were fused, where none is accepted."""

    def record(unfused: int) -> KernelRecord:
        launched = {"triton_poi_fused_gelu_mul": 60 - unfused, "elementwise_kernel(gelu)": 2 * unfused}
        phases = tuple(
            PhaseKernels(
                phase=name,
                kernels={name: number for name, number in launched.items() if number},
                library_calls={"cublasLtMatmul m=640 n=8192 k=640 batch=1": 300},
                graph_launches=1,
                launches_in_graphs=360,
                copies={"host to device": 1},
                copied_bytes={"host to device": 8},
                peak_allocated_bytes=1 << 28,
                peak_reserved_bytes=1 << 29,
            )
            for name in ("step 0", "steps 1-5")
        )
        timeline = TimelineRecord(
            subject=subject,
            gpu_model="nvidia-h200",
            num_steps=6,
            phases=(PhaseTimeline(phase="later steps", host_ns=41, waited_ns=2, busy_ns=22, total_ns=43),),
            launches=360,
            without_model=3,
        )
        return KernelRecord(subject=subject, seen_by="null NVIDIA H200", num_steps=6, phases=phases, timeline=timeline)

    baseline = KernelBaseline.from_record(record(0), case="test_kernels", environment=THEN, reason="first")
    now = record(gelus)
    return entry("test_kernels", judge_kernels(now, baseline, environment=THEN, rerun="pytest test_it.py"), now)


def fewer_kernels() -> LedgerEntry:
    """Return an entry of a pipeline that launches less than another."""
    then = kernels(gelus=30).record
    counted, reference = (msgspec.convert(one, KernelRecord) for one in (kernels().record, then))
    record = FewerKernelsRecord(subject=ON_GPU, counted=counted, reference=reference)
    return entry("test_fewer_kernels", judge_fewer_kernels(record, demanded=1.05), record)


def memory_growth(subject: Subject = SDXL, *, growth: int = 0) -> LedgerEntry:
    """Return an entry with this growth of live memory over two calls."""
    lives = {"the call": 3 << 20, "another prompt": (3 << 20) + growth // 2, "the call, again": (3 << 20) + growth}
    calls = tuple(CallMemory(call=name, live_bytes=live, operations=900) for name, live in lives.items())
    holders = (MemoryHolder(where=CodeLocation(file="service.py", line=7, function="keep"), held_bytes=growth),)
    record = MemoryGrowthRecord(
        subject=subject, calls=calls, holders=holders if growth else (), seen_by="the simulated GPU"
    )
    return entry("test_memory_stable", judge_memory_growth(record), record)


def own_guard(subject: Subject = ON_GPU, *, copied_bytes: int = 2600) -> LedgerEntry:
    """Return an entry of a guard outside the package."""
    record = OwnRecord(subject=subject, guard="bus", figures={"copied_bytes": copied_bytes})
    failure = f"{copied_bytes} bytes copied to the GPU (1000 allowed)" if copied_bytes > 1000 else ""
    return entry("test_bus", judge_own(record, failure=failure), record)


def entry(test: str, verdict: Verdict, record: object) -> LedgerEntry:
    """Return the ledger entry of a verdict."""
    nodeid = f"suites/test_{verdict.subject.pipeline}.py::{test}[{verdict.subject.pipeline}-{verdict.subject.recipe}]"
    return entry_of(nodeid, verdict, record)  # type: ignore[arg-type] # callers pass records


def one_of_each(files: Sequence[ImageFiles | None] = (None,)) -> list[LedgerEntry]:
    """Return a failed entry of every kind, and passed entries of another pipeline."""
    good, good_gpu = replace(SDXL, pipeline="sd15", recipe="bf16"), replace(ON_GPU, pipeline="sd15", recipe="bf16")
    return [
        applied(is_good=False),
        syncs(),
        graph_breaks(is_good=False),
        recompiles(is_good=False),
        compile_counts(breaks=1),
        numerics(differing=7),
        images(files=files),
        repeatability(differing=3),
        counts(operations=1390),
        latency(),
        latency_without_baseline(),
        paired(),
        calibration(),
        ratio(),
        memory(),
        kernels(gelus=60),
        fewer_kernels(),
        memory_growth(growth=1 << 16),
        own_guard(),
        effect(),
        *clean(good, good_gpu),
    ]


def clean(subject: Subject, on_gpu: Subject) -> list[LedgerEntry]:
    """Return passed entries of every kind for one pipeline."""
    makers: list[Callable[[Subject], LedgerEntry]] = [
        applied,
        lambda one: syncs(one, per_step=0),
        graph_breaks,
        recompiles,
        compile_counts,
        numerics,
        lambda one: images(one, ssim=1.0),
        repeatability,
        counts,
    ]
    found = [make(subject) for make in makers]
    return [*found, latency(on_gpu, milliseconds=2195), memory(on_gpu, mebibytes=1024)]


BROKEN = BrokenTest(
    nodeid="suites/test_flux.py::test_image[flux-bf16]",
    reason="OSError: no weights here",
    details="def broken():\n>   raise OSError('no weights here')\nE   OSError: no weights here",
)
SKIPPED = tuple(
    CaseResult(
        nodeid=f"suites/test_{name}.py::test_latency[{name}-bf16]",
        file=f"suites/test_{name}.py",
        line=7,
        skip_reason="needs a GPU: run with --diffopt-gpu",
    )
    for name in ("sd15", "sdxl", "flux")
)
UNDECIDED = UnmetRequirement(text="1 verdict decided nothing: 1 inconclusive", is_failure=False)
LOOSENED = BaselineComparison(
    base="origin/main (1a2b3c4d5)",
    changes=(
        BaselineChange(
            path="baselines/nvidia-h200/suites/test_sdxl/test_latency.json",
            kind=ChangeKind.LOOSENED,
            limits=(LimitChange(name="latency_ns", before=2.31e9, after=2.5e9),),
            reason="a safer kernel",
        ),
        BaselineChange(path="baselines/cpu/new.json", kind=ChangeKind.ADDED),
    ),
)
UNMET = UnmetRequirement(text="--diffopt-require asks for gpu>=20, got: 3 verdicts", is_failure=True)


def full_report(files: Sequence[ImageFiles | None] = (None,)) -> Report:
    """Return a report with every kind of finding."""
    return report(
        one_of_each(files), broken=[BROKEN], skipped=SKIPPED, unmet_requirements=[UNDECIDED], baselines=LOOSENED
    )


def report(
    entries: Sequence[LedgerEntry],
    *,
    broken: Sequence[BrokenTest] = (),
    skipped: Sequence[CaseResult] = (),
    unmet_requirements: Sequence[UnmetRequirement] = (),
    baselines: BaselineComparison | None = None,
) -> Report:
    """Return the report of a session with these findings."""
    counted: dict[str, int] = {}
    for one in entries:
        counted[one.verdict.outcome] = counted.get(one.verdict.outcome, 0) + 1
    return Report(
        schema_version=SCHEMA_VERSION,
        shards=[shard()],
        counts=counted,  # type: ignore[arg-type] # outcomes are texts
        verdicts=list(entries),
        unmet_requirements=list(unmet_requirements),
        broken=list(broken),
        skipped=list(skipped),
        baselines=baselines or msgspec.UNSET,
    )


def shard(name: str = "", *, device: str = "NVIDIA H200", torch: str = "2.13.0") -> Shard:
    """Return a shard that ran on a GPU."""
    return Shard(
        name=name,
        environment=ReportedEnvironment(
            device=device,
            device_slug=slug(device),
            versions={"python": "3.12.1", "torch": torch, "diffusers": "0.42.1"},
        ),
        scale=Scale.TINY,
    )


def draw_images(folder: Path, *, side: int = 64, name: str = "sdxl", noise: float = 0.0) -> ImageFiles:
    """Write a reference, an image with a wrong region, and their heat map; noise prevents compression."""
    row, column = np.mgrid[0:side, 0:side] / side
    disc = (row - 0.5) ** 2 + (column - 0.5) ** 2 < 0.09
    reference = np.stack([0.25 + 0.6 * disc, 0.3 + 0.3 * row, 0.75 - 0.5 * disc], axis=-1)
    image = reference.copy()
    shifted = np.roll(disc, side // 6, axis=1) & (row > 0.35)
    image[..., 1] = np.where(shifted, 0.85, image[..., 1])
    error = np.abs(image - reference).max(axis=-1)
    added = noise * np.random.default_rng(0).standard_normal(reference.shape)
    image, reference = image + added, reference + added
    heat_map = np.stack([error, error**2 * 0.8, 0.5 * np.sqrt(error) * (error < 0.6)], axis=-1)
    (folder / "images" / name).mkdir(parents=True, exist_ok=True)
    names = {part: f"images/{name}/{part}.png" for part in ("image", "reference", "heat-map")}
    for part, pixels in (("image", image), ("reference", reference), ("heat-map", heat_map)):
        levels = (255 * np.clip(pixels, 0, 1)).astype(np.uint8)
        Image.fromarray(levels).resize((side, side), Image.Resampling.NEAREST).save(folder / names[part])
    return ImageFiles(image=names["image"], reference=names["reference"], heat_map=names["heat-map"])
