"""A profile as text: a table of the phases, then lists of memory holders, syncs and attention kernels."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from pytest_diffopt.profile.phases import Phase, PipelineProfile
from pytest_diffopt.profile.target import Target
from pytest_diffopt.profile.units import shown_bytes, shown_count, shown_seconds
from pytest_diffopt.records.code_location import CodeLocation
from pytest_diffopt.simulated_gpu import AttentionChoice, Sync
from pytest_diffopt.simulated_gpu.cost.roofline import Bound, bound_of, main_dtype, peak_tflops, seconds_of

_HEADINGS = ("", "FLOPs", "operations", "to the GPU", "to the host", "peak memory", "syncs", "roofline")
_ROOFLINE_NOTE = (
    "roofline: a lower bound, the longer of two times: FLOPs at the GPU's peak for their dtype, and one write of what",
    "the L2 cache cannot hold of each new tensor; reads, launches and syncs are not included",
)


def lines(profile: PipelineProfile, target: Target, *, top: int) -> Iterator[str]:
    """Yield the lines of the report; each list shows at most `top` entries and the number of the rest."""
    yield from _heading(profile, target)
    yield ""
    yield from aligned([_HEADINGS, *_rows(profile)])
    yield ""
    yield from _ROOFLINE_NOTE
    yield from section("memory at the peak, by the line that allocated it", _holders(profile), top)
    yield from section("host-device synchronizations", _syncs(profile), top)
    yield from section("attention kernels", _attention(profile), top)
    yield from section("operations that the simulation does not model, not fully counted", profile.unmodelled, top)
    yield from section("reads of values that do not exist, which returned zeros", _placeholders(profile), top)


def _heading(profile: PipelineProfile, target: Target) -> Iterator[str]:
    gpu_model = profile.gpu_model
    dtype = main_dtype(profile.total.counts)
    recipe = f"recipe {target.recipe}" if target.recipe else "no recipe"
    yield f"{target.name} ({target.origin}), {recipe}, {call_text(target)}"
    yield (
        f"on a simulated {gpu_model.name}: {peak_tflops(gpu_model, dtype):g} TFLOP/s for {dtype}, "
        f"{shown_bytes(int(gpu_model.gigabytes_per_s * 1e9))}/s, {shown_bytes(gpu_model.memory_bytes)}; "
        f"{shown_bytes(profile.weights_bytes)} copied to it before the call"
    )
    if profile.peak_memory_bytes > gpu_model.memory_bytes:
        yield f"out of memory on a real GPU: the peak is {shown_bytes(profile.peak_memory_bytes)}"


def call_text(target: Target) -> str:
    """Return the arguments of the call that matter for its size."""
    shown = ("num_inference_steps", "height", "width", "num_images_per_prompt", "guidance_scale")
    return ", ".join(f"{name}={target.inputs[name]}" for name in shown if name in target.inputs) or "default arguments"


def _rows(profile: PipelineProfile) -> Iterator[tuple[str, ...]]:
    first, later = profile.steps[0], profile.steps[1:]
    yield _row(profile.encode.name, [profile.encode], profile)
    yield _row(first.name, [first], profile)
    if later:
        numbers = f"steps 2-{len(profile.steps)}, each" if len(later) > 1 else "step 2"
        yield _row(numbers, later, profile)
        yield _sum(profile.all_steps, profile.steps, profile)
    yield _row(profile.decode.name, [profile.decode], profile)
    yield _sum(profile.total, profile.phases, profile)


def _row(name: str, phases: Sequence[Phase], profile: PipelineProfile) -> tuple[str, ...]:
    """Return one row for several phases; a cell shows the range where they differ."""

    def cell(shown: Callable[[int], str], figure: Callable[[Phase], int]) -> str:
        return " - ".join(dict.fromkeys(shown(limit(map(figure, phases))) for limit in (min, max)))

    bounds = sorted((bound_of(phase.counts, profile.gpu_model) for phase in phases), key=lambda bound: bound.seconds)
    return (
        name,
        cell(shown_count, lambda phase: phase.counts.flops),
        cell(str, lambda phase: phase.counts.operations),
        cell(shown_bytes, lambda phase: phase.counts.bytes_to_device),
        cell(shown_bytes, lambda phase: phase.counts.bytes_to_host),
        cell(shown_bytes, lambda phase: phase.counts.peak_memory_bytes),
        cell(str, lambda phase: len(phase.syncs)),
        " - ".join(dict.fromkeys(map(_bound, (bounds[0], bounds[-1])))),
    )


def _bound(bound: Bound) -> str:
    return f"{shown_seconds(bound.seconds)} ({bound.limit.value})"


def _sum(whole: Phase, parts: Sequence[Phase], profile: PipelineProfile) -> tuple[str, ...]:
    seconds = seconds_of((part.counts for part in parts), profile.gpu_model)
    return (*_row(whole.name, [whole], profile)[:-1], shown_seconds(seconds))


def aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield rows in aligned columns, the first to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *rest in rows:
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))]
        yield "  ".join(cells).rstrip()


def section(title: str, found: Iterable[str], top: int) -> Iterator[str]:
    """Yield a list under its title, at most `top` entries and the number of the rest; nothing for an empty list."""
    everything = list(found)
    if not everything:
        return
    yield ""
    yield f"{title}:"
    yield from (f"  {line}" for line in everything[:top])
    if len(everything) > top:
        yield f"  ... and {len(everything) - top} more (--top {len(everything)} shows all)"


def _holders(profile: PipelineProfile) -> Iterator[str]:
    for where, nbytes in profile.peak_holders:
        yield f"{shown_bytes(nbytes):>9}  {_shown(where)}"


def _placeholders(profile: PipelineProfile) -> Iterator[str]:
    return map(_shown, profile.placeholders)


def _shown(where: CodeLocation) -> str:
    return f"{where} in {where.function}  {where.source}".rstrip()


def _syncs(profile: PipelineProfile) -> Iterator[str]:
    """Yield one line for each place: the number of syncs in the whole call, and the phases."""
    places: dict[tuple[CodeLocation, str, str], Counter[str]] = {}
    for phase in profile.phases:
        for sync in phase.syncs:
            places.setdefault(_place(sync), Counter())[phase.name] += 1
    for (where, operation, kind), counts in places.items():
        yield f"{counts.total():>4} x  {operation} ({kind}) {_in_phases(counts)}: {_shown(where)}"


def _place(sync: Sync) -> tuple[CodeLocation, str, str]:
    return sync.where, sync.shown_as, sync.kind.value


def _in_phases(counts: Counter[str]) -> str:
    """Return the names of the phases, shortened to the first and the last."""
    names = list(counts)
    if len(names) == 1:
        return f"in {names[0]}"
    each = f", {counts[names[0]]} each" if len(set(counts.values())) == 1 else ""
    return f"in {names[0]} to {names[-1]} ({len(names)} phases{each})"


def _attention(profile: PipelineProfile) -> Iterator[str]:
    for phase in (profile.encode, profile.all_steps, profile.decode):
        for choice in phase.attention:
            yield f"{phase.name}: {choice.count} x {_choice(choice)}"


def _choice(choice: AttentionChoice) -> str:
    mask = ", masked" if choice.has_mask else ""
    reason = f" ({choice.reason})" if choice.reason else ""
    return f"{choice.kernel.value}: {choice.query_shape} by {choice.key_shape}, {choice.dtype}{mask}{reason}"
