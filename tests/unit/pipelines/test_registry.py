"""A pipeline is found by its name, and an unknown name is told with the nearest one."""

import pytest

from pytest_diffopt.errors import PipelineError
from pytest_diffopt.pipelines import registry
from pytest_diffopt.pipelines.registry import find_pipeline, known_pipelines


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
