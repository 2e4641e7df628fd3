"""Any text of a marker, a recipe or an option is read, or refused with a `DiffoptError`."""

import warnings
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_diffopt.plugin import markers, parametrization
from pytest_diffopt.recipes.grammar import parse_recipe
from pytest_diffopt.session.required_verdicts import parse_requirements
from pytest_diffopt.session.settings import Settings
from tests.fuzz.inputs import only_diffopt_errors, share, text_inputs

RECIPES = [
    "bf16 + sdpa + channels_last + fuse_qkv + compile",
    'compile(mode="max-autotune", target=["denoiser", "vae.decode"], fullgraph=True)',
    "int8_dynamic(min_features=16) + pointwise_linears",
]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12) | st.sampled_from(["sdxl", "tiny"]),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=2),
    max_leaves=4,
)


class MarkedTest:
    """A test with one marker, in a project that registers no marker."""

    config = SimpleNamespace(getini=lambda _name: [])

    def __init__(self, marker: pytest.Mark) -> None:
        self._marker = marker

    def get_closest_marker(self, name: str) -> pytest.Mark | None:
        """Return the marker of a name."""
        return self._marker if self._marker.name == name else None

    def iter_markers(self, name: str) -> Iterator[pytest.Mark]:
        """Yield the markers of a name."""
        yield from filter(None, [self.get_closest_marker(name)])


def marked(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> pytest.Item:
    """Return a test with a marker of this content."""
    return cast("pytest.Item", MarkedTest(getattr(pytest.mark, name)(*args, **kwargs).mark))


def keywords(names: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    """Return keywords of a marker, most of them known; pytest itself does not accept `self`."""
    unknown = st.text(max_size=5).filter(lambda name: name != "self")
    return st.dictionaries(st.sampled_from(names) | unknown, VALUES, max_size=4)


@share(0.15)
@given(text=text_inputs(RECIPES))
def test_reading_a_recipe(text: str) -> None:
    """Recipes are parsed by Python's parser, whose own errors must not escape."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python warns of invalid escape sequences
        only_diffopt_errors(lambda: parse_recipe(text))


@share(0.05)
@given(text=text_inputs(["gpu>=20, latency>=3", "graph-breaks >= 1"]))
def test_reading_requirements(text: str) -> None:
    """The value of `--diffopt-require`."""
    only_diffopt_errors(lambda: parse_requirements(text))


@share(0.05)
@given(
    args=st.lists(VALUES, max_size=1).map(tuple),
    kwargs=keywords(["memory_gib", "capability", "count"])
    | st.builds(lambda *version: {"capability": version}, VALUES, VALUES),
)
def test_reading_a_gpu_marker(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Any value under any name."""
    only_diffopt_errors(lambda: markers.gpu_needs(marked("gpu", args, kwargs)))


@share(0.1)
@given(
    args=st.lists(VALUES, max_size=1).map(tuple), kwargs=keywords(["pipeline", "recipe", "ladder", "scale", "batch"])
)
def test_reading_a_diffopt_marker(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Every argument that the collection of tests reads."""
    item = marked("diffopt", args, kwargs)

    def read() -> None:
        arguments = markers.diffopt_arguments(item)
        if "pipeline" in arguments:
            parametrization._named_pipelines(arguments, Settings())
        if "recipe" in arguments:
            parametrization._recipes(arguments)
        if "batch" in arguments:
            parametrization._batches(arguments, Settings())

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python warns of invalid escape sequences
        only_diffopt_errors(read)
