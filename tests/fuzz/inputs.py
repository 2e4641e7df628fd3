"""How many inputs each reader gets, and how a valid one is spoilt."""

import json
import os
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from pytest_diffopt.errors import DiffoptError

#: Over all readers: few beside the other tests, `make fuzz` asks for 100,000.
TOTAL_INPUTS = int(os.environ.get("DIFFOPT_FUZZ_INPUTS", "2000"))
# What readers of JSON, of recipes and of PNG take notice of.
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
    """Return the settings of a test that gets this part of all inputs; those of all tests add up to one."""
    return settings(
        max_examples=max(10, round(TOTAL_INPUTS * weight)),
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


def only_our_errors(read: Callable[[], object]) -> None:
    """Read; what comes out is a result, or an error of ours with a message that can be printed."""
    message = "read"
    try:
        read()
    except DiffoptError as error:
        message = str(error)

    assert message.encode()


@st.composite
def spoilt(draw: st.DrawFn, valid: bytes) -> bytes:
    """Change a valid file in a few places: bytes, parts left out, doubled or moved, and words that mean something."""
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
    """Put any value in the place of any other in a valid JSON document, so that the file stays whole."""
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
    """Return what a reader of JSON may meet."""
    return spoilt(valid) | with_another_value(valid) | st.binary(max_size=200)


def text_inputs(valid: list[str]) -> st.SearchStrategy[str]:
    """Return what a reader of a short text may meet."""
    spoilt_text = st.sampled_from(valid).flatmap(lambda text: spoilt(text.encode()))
    return st.text(max_size=60) | spoilt_text.map(lambda raw: raw.decode(errors="surrogateescape"))
