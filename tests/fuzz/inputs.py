"""The number of inputs of each reader, and the mutations of valid inputs."""

import json
import os
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from pytest_diffopt.errors import DiffoptError

#: The number of inputs of all readers together: few in the test suite, 100,000 in `make fuzz`.
TOTAL_INPUTS = int(os.environ.get("DIFFOPT_FUZZ_INPUTS", "2000"))
# Tokens with a meaning in JSON, recipes or PNG.
_TOKENS = (
    *(b"null", b"true", b"-1", b"0", b"1e999", b"NaN", b"Infinity", b'""', b"[]", b"{}", b"{", b"]", b'"', b",", b":"),
    *(
        b"\\ud800",
        b"\\u0000",
        b"\x00",
        b"\xff",
        b"\xef\xbb\xbf",
        b"9" * 5000,
        b"[" * 2000,
        b"(" * 300,
        b"+",
        b"=",
        b">=",
    ),
    *(b"IHDR", b"IDAT", b"IEND", b"\x7f\xff\xff\xff", b"<script>", b"../../", b"lambda: 0", b"__import__"),
)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=8), children, max_size=3),
    max_leaves=5,
)


def share(weight: float) -> settings:
    """Return the settings of a test that gets this fraction of all inputs; the fractions of all tests add up to one."""
    return settings(
        max_examples=max(10, round(TOTAL_INPUTS * weight)),
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


def only_diffopt_errors(read: Callable[[], object]) -> None:
    """Read; only a `DiffoptError` may be raised, with a message that can be printed."""
    message = "read"
    try:
        read()
    except DiffoptError as error:
        message = str(error)

    assert message.encode()


@st.composite
def mutated(draw: st.DrawFn, valid: bytes) -> bytes:
    """Change a valid file in a few places: replace, delete or repeat bytes, and insert tokens."""
    raw = bytearray(valid)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(raw)))
        length = draw(st.integers(0, 40))
        match draw(st.integers(0, 4)):
            case 0:
                raw[start : start + 1] = draw(st.binary(min_size=1, max_size=1))
            case 1:
                del raw[start : start + length]
            case 2:
                raw[start:start] = raw[start : start + length]
            case 3:
                raw[start:start] = draw(st.sampled_from(_TOKENS))
            case _:
                raw[start : start + length] = draw(st.binary(max_size=8))
    return bytes(raw)


@st.composite
def with_another_value(draw: st.DrawFn, valid: bytes) -> bytes:
    """Replace any value of a valid JSON document by any other value, so that the file stays valid JSON."""
    content: Any = json.loads(valid)
    place = content
    while True:
        key = draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        inner = place[key]
        if not (isinstance(inner, dict | list) and inner and draw(st.booleans())):
            break
        place = inner
    place[key] = draw(_VALUES)
    return json.dumps(content).encode()


def json_inputs(valid: bytes) -> st.SearchStrategy[bytes]:
    """Return inputs of a reader of JSON."""
    return mutated(valid) | with_another_value(valid) | st.binary(max_size=200)


def text_inputs(valid: list[str]) -> st.SearchStrategy[str]:
    """Return inputs of a reader of a short text."""
    mutated_text = st.sampled_from(valid).flatmap(lambda text: mutated(text.encode()))
    return st.text(max_size=60) | mutated_text.map(lambda raw: raw.decode(errors="surrogateescape"))
