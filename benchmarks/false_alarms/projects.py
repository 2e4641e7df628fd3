"""A small project whose only test times a pipeline, with or without a delay injected in `scheduler.step`."""

from dataclasses import dataclass
from pathlib import Path

from pytest_diffopt.pipelines.scale import Scale
from pytest_diffopt.records import Device

#: Name of the timed pipeline.
PIPELINE = "sdxl"
_PRODUCT = '''"""The code under test."""

from injected_delay import inject

SLOWDOWN = {slowdown}


def prepare(pipeline, inputs):
    if SLOWDOWN:
        inject(pipeline, inputs, share=SLOWDOWN)
'''
_TEST = '''"""Times a call."""

import product
import pytest

pytestmark = [
    pytest.mark.diffopt(pipeline=["{pipeline}"], recipe=["{recipe}"], scale="{scale}"),{gpu}
]


def test_latency(optimized_pipeline, pipeline_inputs, latency_baseline):
    inputs = {inputs}
    product.prepare(optimized_pipeline, inputs)
    latency_baseline.check(optimized_pipeline, **inputs)
'''


_DEVICE_OPTIONS = {Device.CUDA: ("--gpu",), Device.NULL_GPU: ("--diffopt-null-gpu",)}


@dataclass(frozen=True, kw_only=True, slots=True)
class TimedCall:
    """The timed call and its device.

    Attributes:
        device: the CPU, a GPU or the null GPU.
        scale: scale of the SDXL pipeline.
        recipe: recipe of the pipeline.
        steps: denoise steps of one call; None for the pipeline's default.
    """

    device: Device
    scale: Scale
    recipe: str
    steps: int | None = None

    @property
    def options(self) -> tuple[str, ...]:
        """Options of pytest that select the device."""
        return _DEVICE_OPTIONS.get(self.device, ())

    def project(self, slowdown: float) -> dict[str, str]:
        """Return the texts of the project's files, by file name.

        Args:
            slowdown: injected slowdown, as a fraction of the call's time.
        """
        steps = "" if self.steps is None else f'.varied("", num_inference_steps={self.steps})'
        gpu = "\n    pytest.mark.gpu," if self.device is Device.CUDA else ""
        test = _TEST.format(
            pipeline=PIPELINE, recipe=self.recipe, scale=self.scale, gpu=gpu, inputs=f"pipeline_inputs{steps}"
        )
        injected_delay = Path(__file__).with_name("injected_delay.py").read_text(encoding="utf-8")
        return {
            "test_it.py": test,
            "product.py": _PRODUCT.format(slowdown=slowdown),
            "injected_delay.py": injected_delay,
        }


#: The default: cheap, and available on every machine.
TINY_ON_CPU = TimedCall(device=Device.CPU, scale=Scale.TINY, recipe="fp32")
