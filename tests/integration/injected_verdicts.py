"""Verdicts of the guards on hand-made records, for tests of the reports.

Tests copy this file next to the tests that pytester runs; nothing in it imports torch.
"""

from pathlib import Path

from pytest_diffopt.api.conclusion import conclude
from pytest_diffopt.baselines.codec import encode
from pytest_diffopt.baselines.documents import LatencyBaseline
from pytest_diffopt.guards.latency import judge_latency
from pytest_diffopt.guards.syncs import judge_syncs
from pytest_diffopt.records import Device, Environment, LatencyRecord, ObservedSync, Subject, SyncRecord
from pytest_diffopt.records.code_location import CodeLocation

ENVIRONMENT = Environment(device_slug="gpu_model", device_name="a GPU")
MILLISECOND_NS = 1_000_000


def syncs(*lines: int, file: str = "own_pipeline.py") -> None:
    """Judge a denoise loop with syncs at these lines."""
    __tracebackhide__ = True
    syncs = tuple(
        ObservedSync(
            kind="read by the host",
            operation=".item()",
            where=CodeLocation(file=file, line=line, function="gate"),
            step=1,
        )
        for line in lines
    )
    subject = Subject(pipeline="own", recipe="bf16", device=Device.SIMULATED)
    record = SyncRecord(subject=subject, num_steps=4, syncs=syncs, seen_by="the simulated GPU")
    conclude(record, judge_syncs(record))


def takes(milliseconds: int, *, accepted: int = 100, device: Device = Device.CUDA, pipeline: str = "own") -> None:
    """Judge a call that takes this long against an accepted latency."""
    __tracebackhide__ = True
    subject = Subject(pipeline=pipeline, recipe="bf16", device=device)
    baseline = accepted_latency(accepted, subject)
    samples = (milliseconds * MILLISECOND_NS,) * 5
    record = LatencyRecord(subject=subject, warmup_ns=samples, samples_ns=samples, num_steps=4)
    conclude(record, judge_latency(record, baseline, environment=ENVIRONMENT, rerun="pytest"))


def proves_nothing() -> None:
    """Judge a call against the accepted latency of another GPU."""
    __tracebackhide__ = True
    subject = Subject(pipeline="own", recipe="bf16", device=Device.CUDA)
    samples = (100 * MILLISECOND_NS,) * 5
    record = LatencyRecord(subject=subject, warmup_ns=samples, samples_ns=samples, num_steps=4)
    elsewhere = Environment(device_slug="other", device_name="another GPU")
    conclude(record, judge_latency(record, accepted_latency(100), environment=elsewhere, rerun="pytest"))


def accepted_latency(milliseconds: int, subject: Subject | None = None) -> LatencyBaseline:
    """Return the baseline of a call that takes this long."""
    subject = subject or Subject(pipeline="own", recipe="bf16", device=Device.CUDA)
    samples = (milliseconds * MILLISECOND_NS,) * 5
    record = LatencyRecord(subject=subject, warmup_ns=samples, samples_ns=samples, num_steps=4)
    return LatencyBaseline.from_record(
        record, case="test_a", environment=ENVIRONMENT, margin=0.05, floor_ns=MILLISECOND_NS, reason="first accepted"
    )


def write_baseline(path: Path, milliseconds: int) -> None:
    """Write the baseline of a call that takes this long."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode(accepted_latency(milliseconds), file=path))
