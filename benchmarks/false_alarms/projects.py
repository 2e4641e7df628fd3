"""A small project whose one test times a pipeline, as it is or with a wait injected in `scheduler.step`."""

from dataclasses import dataclass
from pathlib import Path

from pytest_diffopt.pipelines.scale import Scale
from pytest_diffopt.records import Device

#: What is called.
PIPELINE = "sdxl"
_PRODUCT = '''"""What is under test."""

from injected_delay import inject

SLOWDOWN = {slowdown}


def prepare(pipeline, inputs):
    if SLOWDOWN:
        inject(pipeline, inputs, share=SLOWDOWN)
'''
_TEST = '''"""How long a call takes."""

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


@dataclass(frozen=True, kw_only=True, slots=True)
class TimedCall:
    """What is timed, and where.

    Attributes:
        device: the CPU or a GPU.
        scale: of the pipeline, which is SDXL.
        recipe: its recipe.
        steps: denoise steps in one call; None for the pipeline's own number.
    """

    device: Device
    scale: Scale
    recipe: str
    steps: int | None = None

    @property
    def options(self) -> tuple[str, ...]:
        """What pytest is told about it."""
        return ("--gpu",) if self.device is Device.CUDA else ()

    def project(self, slowdown: float) -> dict[str, str]:
        """Return the files of the project, by their names.

        Args:
            slowdown: what is injected in its product, as a fraction of the call.
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


#: Cheap, and everywhere.
TINY_ON_CPU = TimedCall(device=Device.CPU, scale=Scale.TINY, recipe="fp32")
