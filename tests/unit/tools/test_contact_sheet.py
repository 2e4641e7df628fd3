"""The contact sheet has the pipelines that draw scenes."""

from pytest_diffopt.pipelines.registry import find_pipeline, known_pipelines
from tools.contact_sheet import trained_pipelines


def test_random_pipelines_and_videos_are_left_out() -> None:
    """They draw noise, or have a filmstrip."""
    names = trained_pipelines()

    assert {"sd15", "sdxl", "deepfloyd-if", "sd3", "flux"} <= set(names)
    assert not {"cogvideox", "ltx2", "hunyuan-video-1.5", "qwen-image-edit"} & set(names)
    assert not any(find_pipeline(name).has_random_weights for name in names)
    assert names == [name for name in known_pipelines() if name in names]
