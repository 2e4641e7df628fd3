"""A pipeline is found by its name, and an unknown name is an error with the closest name."""

from typing import Any

import pytest

from pytest_diffopt.errors import PipelineError
from pytest_diffopt.pipelines import registry
from pytest_diffopt.pipelines.inputs import PipelineInputs
from pytest_diffopt.pipelines.registry import find_pipeline, known_pipelines, register_pipeline
from pytest_diffopt.pipelines.scale import Scale

CALL = {"prompt": "a red circle", "num_inference_steps": 2}


@pytest.fixture
def families(monkeypatch: pytest.MonkeyPatch) -> None:
    """Isolate the registry, so that a test's pipelines do not reach other tests."""
    monkeypatch.setattr(registry, "_FAMILIES", {"sdxl": find_pipeline("sdxl")})
    monkeypatch.setattr(registry, "_REGISTERED_AT", {})


def build() -> object:
    """Return any object."""
    return object()


@pytest.mark.parametrize("name", known_pipelines())
def test_every_known_pipeline_is_found_under_its_name(name: str) -> None:
    """The name in a marker is the family's name."""
    assert find_pipeline(name).name == name


def test_sdxl_is_known() -> None:
    """The pipeline of the article *Diffusion, Fast* is registered."""
    assert "sdxl" in known_pipelines()


@pytest.mark.parametrize(("name", "hint"), [("sdlx", " (did you mean 'sdxl'?)"), ("flux", ""), ("", "")])
def test_an_unknown_name_is_an_error_with_the_closest_name(
    monkeypatch: pytest.MonkeyPatch, name: str, hint: str
) -> None:
    """A name is suggested only if it is similar; all known names are listed."""
    monkeypatch.setattr(registry, "_FAMILIES", {"sdxl": find_pipeline("sdxl")})

    with pytest.raises(PipelineError) as error:
        find_pipeline(name)

    assert str(error.value) == f"unknown pipeline: {name!r}{hint}; known: sdxl"


@pytest.mark.usefixtures("families")
def test_a_registered_pipeline_is_found() -> None:
    """It has its inputs at both scales, and the usual variations."""
    family = register_pipeline("mine", inputs=CALL, build_tiny=build)
    plain = family.inputs(Scale.TINY)

    assert find_pipeline("mine") is family
    assert (plain["prompt"], plain["num_inference_steps"]) == ("a red circle", 2)
    assert [one.label for one in family.variations(Scale.FULL)][-1] == "another seed"
    assert not family.ships_weights


@pytest.mark.usefixtures("families")
def test_inputs_and_variations_may_depend_on_the_scale() -> None:
    """A function of the scale returns keywords, or inputs with their own seed."""
    seeded = PipelineInputs(CALL, seed=5)
    family = register_pipeline(
        "mine",
        inputs=lambda scale: {"scale": scale} if scale is Scale.TINY else seeded,
        variations=lambda scale: (seeded.varied(str(scale)),),
        build_tiny=build,
    )

    assert family.inputs(Scale.TINY)["scale"] == "tiny"
    assert family.inputs(Scale.FULL) is seeded
    assert [one.label for one in family.variations(Scale.FULL)] == ["full"]


@pytest.mark.usefixtures("families")
def test_variations_may_be_a_list() -> None:
    """The list is the same at both scales."""
    other = PipelineInputs(CALL).varied("seed", seed=2)
    family = register_pipeline("mine", inputs=CALL, variations=[other], build_tiny=build)

    assert family.variations(Scale.TINY) == family.variations(Scale.FULL) == (other,)


@pytest.mark.usefixtures("families")
def test_the_same_line_may_register_again() -> None:
    """Pytest imports a conftest again in each run within one process."""
    for _ in range(2):
        register_pipeline("mine", inputs=CALL, build_tiny=build)

    assert known_pipelines() == ("sdxl", "mine")


@pytest.mark.usefixtures("families")
def test_another_line_cannot_take_the_name() -> None:
    """The message shows both places."""
    register_pipeline("mine", inputs=CALL, build_tiny=build)
    with pytest.raises(PipelineError) as error:
        register_pipeline("mine", inputs=CALL, build_tiny=build)

    one, other = (f"{__file__}:{number}" for number in (_line_of(error) - 2, _line_of(error)))
    assert (
        str(error.value) == f"two pipelines have the name 'mine', one from {one}, one from {other}: rename one of them"
    )


def _line_of(error: Any) -> int:
    line: int = error.traceback[0].lineno + 1
    return line


@pytest.mark.usefixtures("families")
def test_a_name_of_this_package_is_taken() -> None:
    """A user's `sdxl` would silently replace the pipeline in every suite."""
    with pytest.raises(PipelineError, match="two pipelines have the name 'sdxl', one from pytest-diffopt itself, one "):
        register_pipeline("sdxl", inputs=CALL, build_tiny=build)


@pytest.mark.parametrize("name", ["", "my pipeline", "a[b]", "sdxl@full", "-x", 3])
def test_a_name_that_does_not_fit_a_test_id_is_an_error(name: Any) -> None:
    """The message shows the rule and the name."""
    with pytest.raises(PipelineError) as error:
        register_pipeline(name, inputs=CALL, build_tiny=build)

    assert str(error.value) == (
        f"a pipeline's name is part of test ids and allows letters, digits, '.', '-' and '_', got: {name!r}"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"inputs": CALL}, " needs at least one of build_tiny, build_random and hub_id"),
        (
            {"inputs": CALL, "build_tiny": 3},
            ", build_tiny=...) must be a function without arguments, got: 3",
        ),
        (
            {"inputs": 3, "build_tiny": build},
            ", inputs=...) must be a mapping of keywords or a function of a scale, got: 3",
        ),
        (
            {"inputs": CALL, "build_tiny": build, "variations": []},
            ", variations=...) must be a sequence of calls or a function of a scale, got: []",
        ),
        (
            {"inputs": CALL, "build_tiny": build, "largest_batch": 0},
            ", largest_batch=...) must be an integer of at least 1, got: 0",
        ),
    ],
)
@pytest.mark.usefixtures("families")
def test_a_wrong_argument_is_an_error(arguments: dict[str, Any], message: str) -> None:
    """Nothing is registered."""
    with pytest.raises(PipelineError) as error:
        register_pipeline("mine", **arguments)

    opening = "register_pipeline('mine')" if message.startswith(" needs") else "register_pipeline('mine'"
    assert str(error.value) == opening + message
    assert known_pipelines() == ("sdxl",)


@pytest.mark.usefixtures("families")
def test_inputs_that_return_no_mapping_are_an_error() -> None:
    """The result of a function of the scale is checked when it is called."""
    wrong: Any = lambda _scale: ["prompt"]  # noqa: E731 - a wrong argument in one line
    family = register_pipeline("mine", inputs=wrong, build_tiny=build)

    with pytest.raises(PipelineError, match=r"the inputs of pipeline 'mine' must be a mapping of keywords, got: \['p"):
        family.inputs(Scale.TINY)
