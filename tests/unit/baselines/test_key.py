"""Every case has its own file, with a readable name that every file system accepts."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_diffopt.baselines.key import BaselineKey, slug

CASE = "test_latency[sdxl-bf16+sdpa+compile(mode=max-autotune)]"


@pytest.mark.parametrize("scale", ["tiny", ""])
def test_a_key_is_a_readable_path(scale: str) -> None:
    """The path contains the device, the suite, the case and the scale, if there is one."""
    key = BaselineKey(device_slug="nvidia-h200", suite="models/test_sdxl", case=CASE, scale=scale)

    assert f"nvidia-h200/models/test_sdxl/{CASE}{'.tiny' if scale else ''}.json" == str(key.relative_path)


@pytest.mark.parametrize(
    ("name", "readable"),
    [
        ("test_a[x/y]", "test_a[x_y]"),
        ('test_a[mode="max"]', "test_a[mode=_max_]"),
        ("..", "_"),
        ("", "_"),
        (".hidden", "_hidden"),
        ("nul", "_nul"),
        ("a" * 300, "a" * 120),
    ],
)
def test_an_unsafe_name_is_replaced_and_hashed(name: str, readable: str) -> None:
    """A changed name ends with a short hash of the original, so that different names stay different."""
    left, _, digest = slug(name).rpartition("-")

    assert readable == left
    assert re.fullmatch(r"[0-9a-f]{8}", digest)


def test_names_that_differ_only_in_unsafe_characters_stay_different() -> None:
    """The hash is that of the original name."""
    assert slug("test_a[x/y]") != slug("test_a[x:y]")


@settings(max_examples=200, deadline=None, database=None)
@given(st.text(max_size=200))
def test_any_text_becomes_a_safe_name_in_its_folder(text: str) -> None:
    """No name leads out of its folder, is hidden, contains an unsafe character, or is too long."""
    key = BaselineKey(device_slug=text, suite=text, case=text, scale=text)

    for part in key.relative_path.parts:
        assert re.fullmatch(r"[A-Za-z0-9_+=,.()\[\]@~-]+", part)
        assert not part.startswith(".")
        assert len(part) < 280
    assert not key.relative_path.is_absolute()


@settings(max_examples=200, deadline=None, database=None)
@given(st.text(max_size=20), st.text(max_size=20))
def test_different_names_have_different_files(one: str, other: str) -> None:
    """Equal names have the same file."""
    assert (one == other) == (slug(one) == slug(other))
