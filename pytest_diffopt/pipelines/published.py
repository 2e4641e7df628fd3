"""The published architectures, shipped as JSON: one file a component, its class and its constructor's arguments."""

import json
from importlib.resources import files
from typing import Any

_CONFIGS = files("pytest_diffopt.pipelines") / "configs"
_TEXT_CONFIGS = {
    "CLIPTextModel": "CLIPTextConfig",
    "CLIPTextModelWithProjection": "CLIPTextConfig",
    "T5EncoderModel": "T5Config",
}


def published_config(repository: str, component: str) -> dict[str, Any]:
    """Return the configuration of a component, `_class_name` included."""
    text = (_CONFIGS / repository / f"{component}.json").read_text(encoding="utf-8")
    config: dict[str, Any] = json.loads(text)
    return config


def build_published(repository: str, component: str) -> Any:
    """Build a component with its published architecture and random parameters, on torch's default device.

    A model is ready for inference, as `from_pretrained` leaves it: in training T5 would drop a tenth of its values. A
    scheduler is built on the CPU, where `from_pretrained` leaves it: diffusers turns its tables into numpy's.
    """
    import diffusers  # noqa: PLC0415 - slow to import
    import torch  # noqa: PLC0415 - slow to import
    import transformers  # noqa: PLC0415 - slow to import

    config = published_config(repository, component)
    class_name = config.pop("_class_name")
    if class_name in _TEXT_CONFIGS:
        text_config = getattr(transformers, _TEXT_CONFIGS[class_name])(**config)
        return getattr(transformers, class_name)(text_config).eval()
    kind = getattr(diffusers, class_name)
    if not issubclass(kind, diffusers.SchedulerMixin):
        return kind(**config).eval()
    with torch.device("cpu"):
        return kind(**config)
