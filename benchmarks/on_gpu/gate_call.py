"""The call with which the latency gates are tested: short, so that many calls fit into a gate's budget."""

from benchmarks.false_alarms.projects import PIPELINE, TimedCall
from benchmarks.on_gpu.setting import Setting
from pytest_diffopt.pipelines.loading import find_weights
from pytest_diffopt.pipelines.registry import find_pipeline

# Not compiled: each process of a pair would compile again, for longer than it is timed.
_RECIPE = "bf16 + sdpa"
_STEPS = 2


def timed_call(setting: Setting) -> TimedCall:
    """Return the timed call: SDXL at 1024 x 1024 on the GPU, tiny SDXL in a rehearsal."""
    recipe = setting.pick(measured=_RECIPE, rehearsed="fp32")
    return TimedCall(device=setting.device, scale=setting.scale, recipe=recipe, steps=_STEPS)


def weights_of(setting: Setting) -> str:
    """Return the origin of its weights."""
    return find_weights(find_pipeline(PIPELINE), setting.scale).origin
