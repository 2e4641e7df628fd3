"""A pipeline is found by its name, and an unknown name is told with the nearest one."""

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
    """Let a test register what it likes, and nobody see it afterwards."""
    monkeypatch.setattr(registry, "_FAMILIES", {"sdxl": find_pipeline("sdxl")})
    monkeypatch.setattr(registry, "_REGISTERED_AT", {})


def build() -> object:
    """Build something."""
    return object()


@pytest.mark.parametrize("name", known_pipelines())
def test_every_known_pipeline_is_found_under_its_name(name: str) -> None:
    """A family's name is what a marker writes."""
    assert find_pipeline(name).name == name


def test_sdxl_is_known() -> None:
    """The first family of the article."""
    assert "sdxl" in known_pipelines()


@pytest.mark.parametrize(("name", "hint"), [("sdlx", " (did you mean 'sdxl'?)"), ("flux", ""), ("", "")])
def test_an_unknown_name_is_an_error_with_the_nearest_one(
    monkeypatch: pytest.MonkeyPatch, name: str, hint: str
) -> None:
    """A nearest one is suggested only where one is near; all known ones are listed."""
    monkeypatch.setattr(registry, "_FAMILIES", {"sdxl": find_pipeline("sdxl")})

    with pytest.raises(PipelineError) as error:
        find_pipeline(name)

    assert str(error.value) == f"unknown pipeline: {name!r}{hint}; known: sdxl"


@pytest.mark.usefixtures("families")
def test_a_registered_pipeline_is_found() -> None:
    """With its inputs at both scales, and the usual variations of them."""
    family = register_pipeline("mine", inputs=CALL, build_tiny=build)
    plain = family.inputs(Scale.TINY)

    assert find_pipeline("mine") is family
    assert (plain["prompt"], plain["num_inference_steps"]) == ("a red circle", 2)
    assert [one.label for one in family.variations(Scale.FULL)][-1] == "another seed"
    assert not family.ships_weights


@pytest.mark.usefixtures("families")
def test_inputs_and_variations_may_depend_on_the_scale() -> None:
    """A function of the scale returns keywords, or inputs with a seed of their own."""
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
    """The same at both scales."""
    other = PipelineInputs(CALL).varied("seed", seed=2)
    family = register_pipeline("mine", inputs=CALL, variations=[other], build_tiny=build)

    assert family.variations(Scale.TINY) == family.variations(Scale.FULL) == (other,)


@pytest.mark.usefixtures("families")
def test_the_same_line_may_register_again() -> None:
    """Pytest imports a conftest anew in each run within one process."""
    for _ in range(2):
        register_pipeline("mine", inputs=CALL, build_tiny=build)

    assert known_pipelines() == ("sdxl", "mine")


@pytest.mark.usefixtures("families")
def test_another_line_may_not_take_the_name() -> None:
    """Both places are told."""
    register_pipeline("mine", inputs=CALL, build_tiny=build)
    with pytest.raises(PipelineError) as error:
        register_pipeline("mine", inputs=CALL, build_tiny=build)

    one, other = (f"{__file__}:{number}" for number in (_line_of(error) - 2, _line_of(error)))
    assert str(error.value) == f"two pipelines are called 'mine': one of {one}, one of {other}; rename one of them"


def _line_of(error: Any) -> int:
    line: int = error.traceback[0].lineno + 1
    return line


@pytest.mark.usefixtures("families")
def test_a_name_of_this_package_is_taken() -> None:
    """A user's `sdxl` would silently stand for another pipeline in every suite."""
    with pytest.raises(PipelineError, match="two pipelines are called 'sdxl': one of pytest-diffopt itself, one of "):
        register_pipeline("sdxl", inputs=CALL, build_tiny=build)


@pytest.mark.parametrize("name", ["", "my pipeline", "a[b]", "sdxl@full", "-x", 3])
def test_a_name_that_cannot_stand_in_a_test_id_is_an_error(name: Any) -> None:
    """The rule and the name are told."""
    with pytest.raises(PipelineError) as error:
        register_pipeline(name, inputs=CALL, build_tiny=build)

    assert str(error.value) == (
        f"a pipeline's name stands in test ids: letters, digits, '.', '-' and '_' only, got: {name!r}"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"inputs": CALL}, " needs build_tiny, build_random or hub_id: nothing says how it is built"),
        (
            {"inputs": CALL, "build_tiny": 3},
            ", build_tiny=...) takes a function without arguments, got: 3",
        ),
        (
            {"inputs": 3, "build_tiny": build},
            ", inputs=...) takes keywords, or a function of a scale, got: 3",
        ),
        (
            {"inputs": CALL, "build_tiny": build, "variations": []},
            ", variations=...) takes calls, or a function of a scale, got: []",
        ),
        (
            {"inputs": CALL, "build_tiny": build, "largest_batch": 0},
            ", largest_batch=...) takes a number from 1, got: 0",
        ),
    ],
)
@pytest.mark.usefixtures("families")
def test_a_wrong_argument_is_an_error(arguments: dict[str, Any], message: str) -> None:
    """And nothing is registered."""
    with pytest.raises(PipelineError) as error:
        register_pipeline("mine", **arguments)

    opening = "register_pipeline('mine')" if message.startswith(" needs") else "register_pipeline('mine'"
    assert str(error.value) == opening + message
    assert known_pipelines() == ("sdxl",)


@pytest.mark.usefixtures("families")
def test_inputs_that_turn_out_to_be_no_keywords_are_an_error() -> None:
    """A function of the scale is known only when it is called."""
    wrong: Any = lambda _scale: ["prompt"]  # noqa: E731 - it is the wrong one
    family = register_pipeline("mine", inputs=wrong, build_tiny=build)

    with pytest.raises(PipelineError, match=r"the inputs of pipeline 'mine' must be keywords of its call, got: \['p"):
        family.inputs(Scale.TINY)
