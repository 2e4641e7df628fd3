"""A document has one canonical text, and only a valid text is decoded."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_diffopt.baselines.codec import decode, encode
from pytest_diffopt.baselines.documents import MAX_SESSIONS, Baseline, CompileBaseline, LatencyBaseline, MemoryBaseline
from pytest_diffopt.baselines.image_document import ImageBaseline
from pytest_diffopt.errors import BaselineError, BrokenBaselineError
from pytest_diffopt.records import Environment, LatencyRecord, MemoryRecord, Subject
from tests.unit.baselines.baseline_examples import compiled, images, latency, memory

FILE = Path("baselines/nvidia-h200/test_sdxl/case.json")
RESTORE = "  restore the file from version control, or accept new figures with --diffopt-update all"
TEXT = """{
  "case": "test_latency[sdxl-bf16+sdpa]",
  "concern": "latency",
  "counts": null,
  "environment": {
    "device_name": "NVIDIA H200",
    "versions": {
      "diffusers": "0.36.0",
      "torch": "2.13.0"
    }
  },
  "floor_ns": 100,
  "margin": 0.05,
  "num_steps": 4,
  "reason": "first accepted",
  "schema_version": 2,
  "sessions": [
    {
      "samples_ns": [1200, 1100, 1150]
    }
  ],
  "subject": {
    "device": "cuda",
    "pipeline": "sdxl",
    "recipe": "bf16 + sdpa",
    "scale": "tiny",
    "weights": "random"
  }
}
"""


def refusal(raw: bytes, document_type: type[Baseline] = LatencyBaseline) -> list[str]:
    """Decode an invalid text, and return the lines of the error message."""
    with pytest.raises(BaselineError) as caught:
        decode(raw, document_type, file=FILE)
    return str(caught.value).splitlines()


def changed(**changes: Any) -> bytes:
    """Return the example with other top-level values."""
    return json.dumps(json.loads(TEXT) | changes).encode()


def with_sample(figure: str) -> bytes:
    """Return the example with another second sample."""
    return TEXT.replace("1100", figure).encode()


def test_a_document_has_one_text() -> None:
    """Sorted keys, an indent of two spaces, each list of figures on one line, and a final newline."""
    assert encode(latency(), file=FILE).decode() == TEXT


@pytest.mark.parametrize("document", [latency(), memory()], ids=["latency", "memory"])
def test_reading_what_was_written_gives_the_same(document: Baseline) -> None:
    """Encoding and decoding loses no value and rounds none."""
    assert decode(encode(document, file=FILE), type(document), file=FILE) == document


def test_a_string_that_looks_like_figures_is_unchanged() -> None:
    """Only lists of figures are put on one line, never the content of a string."""
    document = msgspec.structs.replace(latency(), reason="[ 1,  2 ]\n  [\n 1,\n 2 ]")

    assert decode(encode(document, file=FILE), LatencyBaseline, file=FILE) == document


BROKEN = {
    "it is not valid JSON: Expecting value (line 1, column 1)": b"",
    "it is not valid JSON: Unterminated string starting at (line 3, column 14)": TEXT[:60].encode(),
    "it is not UTF-8 text (byte 0)": b"\xff\xfe",
    "it must be a JSON object, got: [1]": b"[1]",
    "it is nested too deeply": b"[" * 100_000,
    "a: duplicate key": b'{"a": 1, "a": 2}',
    "schema_version: missing": b"{}",
    "concern: missing": b'{"schema_version": 2}',
    'schema_version: must be a whole number, got: "1"': changed(schema_version="1"),
    "schema_version: written by an older pytest-diffopt (version 0; this one reads 2)": changed(schema_version=0),
    "margin: must be a finite number, got: NaN": changed(margin=float("nan")),
    "sessions[0].samples_ns[1]: must be a finite number, got: NaN": with_sample("NaN"),
    "sessions[0].samples_ns[1]: must be a finite number, got: Infinity": with_sample("1e999"),
    "sessions[0].samples_ns[1]: must be int >= 1, got: 0": with_sample("0"),
    "sessions[0].samples_ns[1]: must be int >= 1, got: -7": with_sample("-7"),
    "sessions[0].samples_ns[1]: must be int, got: 11.5": with_sample("11.5"),
    "sessions[0].samples_ns[1]: must be int, got: true": with_sample("true"),
    "sessions: must be array of length >= 1, got: []": changed(sessions=[]),
    'margin: must be float, got: "5 %"': changed(margin="5 %"),
    "margin: must be float > 0.0, got: 0": changed(margin=0),
    "margin: must be float <= 1.0, got: 5": changed(margin=5),
    "floor_ns: must be int >= 0, got: -1": changed(floor_ns=-1),
    "margn: unknown key": changed(margn=0.05),
    "subject.pipeline: missing": changed(subject={}),
    'environment.versions[...]: must be str, got: {"torch": 2}': changed(
        environment={"device_name": "x", "versions": {"torch": 2}}
    ),
    'reason: must be Unicode text, got: "\\ud800"': changed(reason="\ud800"),
}


@pytest.mark.parametrize("problem", BROKEN)
def test_a_broken_file_is_refused_with_its_key_and_value(problem: str) -> None:
    """The message names the file, the key, the value and what to do."""
    assert [f"the baseline {FILE} cannot be trusted: {problem}", RESTORE] == refusal(BROKEN[problem])


@pytest.mark.parametrize("key", sorted(json.loads(TEXT)))
def test_a_file_without_a_key_is_refused(key: str) -> None:
    """Every key is required: a missing figure would guard nothing."""
    content = json.loads(TEXT)
    del content[key]

    assert refusal(json.dumps(content).encode())[0].endswith(f"cannot be trusted: {key}: missing")


def test_a_newer_file_is_refused() -> None:
    """A file of a later schema version is not interpreted; the hint is to upgrade."""
    assert refusal(changed(schema_version=3, unheard_of=True)) == [
        f"the baseline {FILE} cannot be trusted: schema_version: written by a newer pytest-diffopt "
        "(version 3; this one reads 2)",
        "  upgrade pytest-diffopt: an older version must not replace this file",
    ]


def test_a_file_of_another_concern_is_refused() -> None:
    """Figures of one concern are not read as those of another."""
    assert refusal(TEXT.replace('"schema_version": 2', '"schema_version": 1').encode(), MemoryBaseline) == [
        f'the baseline {FILE} cannot be trusted: concern: must be memory, got: "latency"',
        "  a case has one baseline: check each concern in its own test, then run --diffopt-update all",
    ]


def test_a_document_that_cannot_be_decoded_is_not_encoded() -> None:
    """A figure of zero is refused before a file is written."""
    with pytest.raises(BaselineError) as error:
        encode(latency(0), file=FILE)

    assert str(error.value).splitlines() == [
        f"the baseline {FILE} cannot be accepted: sessions[0].samples_ns[0]: must be int >= 1, got: 0",
        "  a baseline with this value would guard nothing: check what was measured",
    ]


def test_a_record_becomes_a_document() -> None:
    """The figures are copied, the 0 of a missing allocator becomes `null`, and only the newest sessions are kept."""
    environment = Environment(device_slug="cpu", device_name="a CPU", versions={"torch": "2.13.0"})
    record = LatencyRecord(subject=Subject(pipeline="sdxl"), warmup_ns=(9,), samples_ns=(3, 4), num_steps=2)
    seen = MemoryRecord(
        subject=record.subject, peak_allocated_bytes=5, peak_reserved_bytes=0, seen_by="me", operations=1
    )

    accepted = LatencyBaseline.from_record(
        record, case="test_a", environment=environment, margin=0.1, floor_ns=0, reason="new"
    )
    for _ in range(MAX_SESSIONS):
        accepted = accepted.with_session(record, environment=environment)
    peaks = MemoryBaseline.from_record(
        seen, case="test_a", environment=environment, margin=0.1, floor_bytes=0, reason="new"
    )

    assert [session.samples_ns for session in accepted.sessions] == [(3, 4)] * MAX_SESSIONS
    assert accepted == decode(encode(accepted, file=FILE), LatencyBaseline, file=FILE)
    assert (peaks.peak_allocated_bytes, peaks.peak_reserved_bytes) == (5, None)


def test_a_wrong_figure_below_a_free_key_is_refused() -> None:
    """The key of a dictionary is not known, so the message shows the whole dictionary."""
    content = json.loads(encode(compiled(), file=FILE))
    content["regions"]["UNet.forward"]["breaks"] = None

    assert refusal(json.dumps(content).encode(), CompileBaseline) == [
        f"the baseline {FILE} cannot be trusted: regions[...].breaks: must be int, "
        'got: {"UNet.forward": {"breaks": null, "external_calls": 6, "fall...',
        RESTORE,
    ]


@pytest.mark.parametrize("name", ["- at `$", " - at `$", " - at `$.nothing.there"])
def test_a_key_that_looks_like_a_message_is_refused(name: str) -> None:
    """The messages of msgspec end with a path, and an unknown key may end like one."""
    for where in ("environment", ""):
        content = json.loads(TEXT)
        (content[where] if where else content)[name] = None

        assert refusal(json.dumps(content).encode())[1] == RESTORE


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=8), children, max_size=3),
    max_leaves=5,
)


def read_or_refuse(raw: bytes) -> None:
    """Decode bytes; only a `BaselineError` may be raised, with a message that can be printed."""
    try:
        decode(raw, LatencyBaseline, file=FILE)
    except BaselineError as error:
        str(error).encode()


@pytest.mark.parametrize("depth", [100, 900, 2000, 20_000])
def test_deep_nesting_is_refused_and_never_crashes(depth: int) -> None:
    """At every depth a `BaselineError` is raised, whichever parser reaches its limit first."""
    with pytest.raises(BaselineError):
        decode(b'{"a":' * depth + b"1" + b"}" * depth, LatencyBaseline, file=FILE)


@settings(max_examples=200, deadline=None, database=None)
@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused_and_never_crash(raw: bytes) -> None:
    """Any content raises a `BaselineError`."""
    read_or_refuse(raw)


@settings(max_examples=300, deadline=None, database=None)
@given(data=st.data())
def test_a_mutated_document_is_read_or_refused_and_never_crashes(data: st.DataObject) -> None:
    """Any value of a valid document is replaced by any other: only a `BaselineError` may be raised."""
    content: Any = json.loads(TEXT)
    place = content
    while True:
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        if not (isinstance(place[key], dict | list) and data.draw(st.booleans())):
            break
        place = place[key]
    place[key] = data.draw(JSON_VALUES)

    read_or_refuse(json.dumps(content).encode())


@settings(max_examples=200, deadline=None, database=None)
@given(position=st.integers(0, len(TEXT) - 1), byte=st.integers(0, 255))
def test_a_flipped_byte_is_read_or_refused_and_never_crashes(position: int, byte: int) -> None:
    """One wrong byte anywhere in a valid file: only a `BaselineError` may be raised."""
    raw = bytearray(TEXT.encode())
    raw[position] = byte

    read_or_refuse(bytes(raw))


def test_an_image_baseline_is_decoded_as_it_was_encoded() -> None:
    """With every threshold, sample and checksum."""
    raw = encode(images(), file=FILE)

    assert decode(raw, ImageBaseline, file=FILE) == images()
    assert json.loads(raw)["images"][0]["sha256"] == "0" * 64


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (b'"sha256": "0', b'"sha256": "X', r"images\[0\].sha256: must be"),
        (b'"size_bytes": 1', b'"size_bytes": 99999999999', r"images\[0\].size_bytes: must be"),
        (b'"flip": 0.05', b'"flip": 5.0', "flip: must be"),
        (b'"margin": 0.5', b'"margin": 0', "margin: must be"),
    ],
)
def test_an_invalid_image_baseline_is_refused(old: bytes, new: bytes, problem: str) -> None:
    """An invalid checksum, a file that is too large, a figure out of range."""
    raw = encode(images(), file=FILE).replace(old, new)

    with pytest.raises(BrokenBaselineError, match=problem):
        decode(raw, ImageBaseline, file=FILE)
