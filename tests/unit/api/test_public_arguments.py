"""Every parameter of every public call refuses a wrong type or value in one sentence, before anything is measured."""

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch

import pytest_diffopt
from pytest_diffopt import PipelineInputs
from pytest_diffopt.errors import DiffoptError
from pytest_diffopt.session.settings import Settings


def call(hidden: object = None) -> torch.Tensor:
    """Return a tensor: a target that can be called."""
    return torch.zeros(2) if hidden is None else torch.ones(2)


class Layer(torch.nn.Module):
    """A class that was not instantiated, which calling it would do."""


class Odd:
    """A value whose repr raises."""

    def __repr__(self) -> str:
        raise RuntimeError


NONE = None
LIST: tuple[Any, ...] = (NONE, "sdxl", 3, True, [NONE], ["a"], [3], {"a": 1}, Odd())
NO_TARGET: tuple[Any, ...] = (NONE, "sdxl", 3, True, math.nan, [], {}, Odd(), Layer)
NO_NUMBER: tuple[Any, ...] = ("1", True, math.nan, -1, [1], {}, 1j, Odd())
NO_FINITE_NUMBER: tuple[Any, ...] = (*NO_NUMBER, math.inf)
NO_INTEGER: tuple[Any, ...] = ("1", True, math.nan, -1, 1.5, [1], Odd())
NO_TEXT: tuple[Any, ...] = (3, True, ["a"], {}, b"a", Odd())
NO_BOOLEAN: tuple[Any, ...] = ("yes", 0, 1, [], Odd())
NO_IMAGE: tuple[Any, ...] = (NONE, "sdxl", 3, {}, [], Odd(), torch.zeros(0, 3, 8, 8))
NO_THRESHOLDS: tuple[Any, ...] = ("sdxl", 0.9, True, {"min_ssim": 0.9}, [], Odd())
NO_CALLS: tuple[Any, ...] = (NONE, "sdxl", 3, {"prompt": "a"}, [3], ["a"], [NONE], [{1: 2}], Odd())
NO_FUNCTION: tuple[Any, ...] = ("sdxl", 3, [], {}, Odd())
NO_PLACE: tuple[Any, ...] = (NONE, *NO_TEXT, "", "file.py", ":f", "a:b:c")


@dataclass(frozen=True, kw_only=True)
class PublicCall:
    """A public call.

    Attributes:
        function: what is called.
        good: arguments that are accepted, as far as the check of another one needs them.
        wrong: values of each parameter that are refused.
    """

    function: Callable[..., Any]
    good: Mapping[str, Any] = field(default_factory=dict)
    wrong: Mapping[str, tuple[Any, ...]]

    def __call__(self, **changed: Any) -> None:
        """Call it, with some arguments changed."""
        given = {**self.good, **changed}
        parameters = inspect.signature(self.function).parameters
        positional = [name for name, one in parameters.items() if one.kind is one.POSITIONAL_ONLY and name in given]
        result = self.function(
            *(given[name] for name in positional),
            **{name: value for name, value in given.items() if name not in positional},
        )
        if hasattr(result, "__enter__"):
            result.__enter__()


def gate(name: str, **more: Any) -> Callable[..., Any]:
    """Return the check of a gate whose baselines are never reached."""
    unreached: Any = None
    made = getattr(pytest_diffopt, name)(owner=unreached, store=unreached, settings=Settings(), **more)
    check: Callable[..., Any] = made.check
    return check


TARGET = {"target": call}
CHECK = {"target": NO_TARGET, "reason": (NONE, *NO_TEXT, "", " ")}
WITH_MARGIN = {**CHECK, "margin": NO_FINITE_NUMBER}
ALLOWED = {"where": "a.py:f", "reason": "needed"}
PLAIN = PipelineInputs({"prompt": "a"})
CALLS = {
    "AllowedGraphBreaks": PublicCall(
        function=pytest_diffopt.AllowedGraphBreaks,
        good={**ALLOWED, "break_reason": "GB0059"},
        wrong={
            "where": NO_PLACE,
            "break_reason": (NONE, *NO_TEXT, ""),
            "reason": (NONE, *NO_TEXT, ""),
            "lines": (NONE, *NO_INTEGER, 0),
        },
    ),
    "AllowedRecompiles": PublicCall(
        function=pytest_diffopt.AllowedRecompiles,
        good={**ALLOWED, "guard": "timestep"},
        wrong={
            "where": NO_PLACE,
            "guard": (NONE, *NO_TEXT, ""),
            "reason": (NONE, *NO_TEXT, ""),
            "times": (NONE, *NO_INTEGER, 0),
        },
    ),
    "AllowedSyncs": PublicCall(
        function=pytest_diffopt.AllowedSyncs,
        good={**ALLOWED, "per_step": 1},
        wrong={
            "where": NO_PLACE,
            "per_step": (NONE, *NO_INTEGER, 0),
            "reason": (NONE, *NO_TEXT, ""),
            "first_step": NO_INTEGER,
        },
    ),
    "AudioThresholds": PublicCall(
        function=pytest_diffopt.AudioThresholds,
        wrong={
            "min_snr_db": ("1", True, math.nan, [1], {}, 1j, Odd()),
            "max_spectral_distance": NO_NUMBER,
        },
    ),
    "ImageThresholds": PublicCall(
        function=pytest_diffopt.ImageThresholds,
        wrong={
            "min_ssim": (NONE, "1", True, math.nan, math.inf, 1.1, [1], Odd()),
            "min_psnr_db": ("1", True, math.nan, [1], {}, 1j, Odd()),
            **dict.fromkeys(("max_error", "max_lpips", "max_latent_error", "max_flicker"), NO_NUMBER),
            **dict.fromkeys(("max_mean_error", "max_flip"), (NONE, *NO_NUMBER)),
        },
    ),
    "PipelineInputs": PublicCall(
        function=pytest_diffopt.PipelineInputs,
        good={"arguments": {"prompt": "a"}},
        wrong={
            "arguments": (NONE, "sdxl", 3, [1], ["a"], {1: 2}, Odd(), {"generator": torch.Generator()}),
            "seed": ("1", True, math.nan, 1.5, 2**64, [1], Odd()),
            "label": (NONE, *NO_TEXT),
            "changes_shape": (NONE, *NO_BOOLEAN),
            "change": NO_FUNCTION,
        },
    ),
    "another_scheduler": PublicCall(function=pytest_diffopt.another_scheduler, wrong={"class_name": (*NO_TEXT, "")}),
    "assert_compiled_matches_eager": PublicCall(
        function=pytest_diffopt.assert_compiled_matches_eager,
        good={**TARGET, "rtol": 0.1, "atol": 0.1},
        wrong={"target": NO_TARGET, "rtol": (NONE, *NO_NUMBER), "atol": (NONE, *NO_NUMBER)},
    ),
    "assert_faster": PublicCall(
        function=pytest_diffopt.assert_faster,
        good={**TARGET, "reference": call},
        wrong={"target": NO_TARGET, "reference": NO_TARGET, "by": (NONE, *NO_FINITE_NUMBER, 0)},
    ),
    "assert_fewer_kernels": PublicCall(
        function=pytest_diffopt.assert_fewer_kernels,
        good={**TARGET, "reference": call},
        wrong={"target": NO_TARGET, "reference": NO_TARGET, "by": (NONE, *NO_FINITE_NUMBER, 0, 0.9)},
    ),
    "assert_images_similar": PublicCall(
        function=pytest_diffopt.assert_images_similar,
        good={"images": torch.rand(1, 3, 8, 8), "reference": torch.rand(1, 3, 8, 8)},
        wrong={
            "images": NO_IMAGE,
            "reference": NO_IMAGE,
            "thresholds": NO_THRESHOLDS,
            "audio_thresholds": NO_THRESHOLDS,
        },
    ),
    "assert_memory_stable": PublicCall(
        function=pytest_diffopt.assert_memory_stable,
        good={**TARGET, "calls": [{}]},
        wrong={"target": NO_TARGET, "calls": (*NO_CALLS, []), "max_growth_bytes": (NONE, *NO_INTEGER)},
    ),
    "assert_no_graph_breaks": PublicCall(
        function=pytest_diffopt.assert_no_graph_breaks,
        good=TARGET,
        wrong={"target": NO_TARGET, "allow_graph_breaks": LIST},
    ),
    "assert_no_recompiles": PublicCall(
        function=pytest_diffopt.assert_no_recompiles,
        good={**TARGET, "variations": [{}]},
        wrong={
            "target": NO_TARGET,
            "variations": (*NO_CALLS, []),
            "allow_recompiles": LIST,
            "dynamic": NO_BOOLEAN,
        },
    ),
    "assert_no_syncs": PublicCall(
        function=pytest_diffopt.assert_no_syncs, good=TARGET, wrong={"target": NO_TARGET, "allow_syncs": LIST}
    ),
    "assert_optimizations_applied": PublicCall(
        function=pytest_diffopt.assert_optimizations_applied,
        good={"pipeline": call},
        wrong={"pipeline": NO_TARGET, "recipe": (3, True, ["bf16"], {}, Odd(), "bf17", "bf16 +", NONE)},
    ),
    "assert_optimizations_effective": PublicCall(
        function=pytest_diffopt.assert_optimizations_effective,
        good={"pipeline": call},
        wrong={
            "pipeline": NO_TARGET,
            "recipe": (3, True, ["bf16"], {}, Odd(), "bf17", "bf16 +", NONE),
            "allow_unseen": (3, True, "bf16", {}, Odd(), ["bf17"], [3], NONE),
        },
    ),
    "assert_quantized_matches_dequantized": PublicCall(
        function=pytest_diffopt.assert_quantized_matches_dequantized, good=TARGET, wrong={"target": NO_TARGET}
    ),
    "assert_repeatable": PublicCall(
        function=pytest_diffopt.assert_repeatable,
        good=TARGET,
        wrong={
            "target": NO_TARGET,
            "max_error": (NONE, *NO_NUMBER),
            "after": NO_CALLS,
            "second_process": (NONE, *NO_BOOLEAN),
        },
    ),
    "assert_same_images": PublicCall(
        function=pytest_diffopt.assert_same_images,
        good={"pipeline": call, "reference": call},
        wrong={
            "pipeline": NO_TARGET,
            "reference": NO_TARGET,
            "thresholds": NO_THRESHOLDS,
            "audio_thresholds": NO_THRESHOLDS,
        },
    ),
    "assert_same_images_in_parallel": PublicCall(
        function=pytest_diffopt.assert_same_images_in_parallel,
        good={"reference": call, "recipe": "tensor_parallel"},
        wrong={
            "reference": NO_TARGET,
            "recipe": (3, True, ["bf16"], {}, Odd(), "bf17", "bf16", NONE),
            "thresholds": NO_THRESHOLDS,
        },
    ),
    "conclude_own_guard": PublicCall(
        function=pytest_diffopt.conclude_own_guard,
        good={**TARGET, "guard": "copies", "figures": {"copied_bytes": 1}},
        wrong={
            "target": NO_TARGET,
            "guard": (NONE, *NO_TEXT, "", " "),
            "figures": (NONE, "sdxl", 3, {}, [1], {1: 1}, {"a": "b"}, {"a": math.nan}, {"a": True}, Odd()),
            "failure": (NONE, *NO_TEXT),
            "facts": (NONE, "sdxl", 3, [3], {}, Odd()),
            "hint": (NONE, *NO_TEXT),
        },
    ),
    "ladder": PublicCall(
        function=pytest_diffopt.ladder,
        good={"name": "modern", "pipeline": "sdxl"},
        wrong={
            "name": (NONE, *NO_TEXT, "", "nope"),
            "pipeline": (NONE, *NO_TEXT, "", "nope"),
            "scale": (NONE, *NO_TEXT, "", "huge"),
            "on_gpu": (NONE, *NO_BOOLEAN),
        },
    ),
    "lora_disabled": PublicCall(function=pytest_diffopt.lora_disabled, wrong={}),
    "lora_loaded": PublicCall(
        function=pytest_diffopt.lora_loaded,
        good={"weights": "some/lora"},
        wrong={"weights": (NONE, 3, "", [], Odd()), "adapter": (NONE, *NO_TEXT, ""), "hotswap": (NONE, *NO_BOOLEAN)},
    ),
    "lora_scaled": PublicCall(
        function=pytest_diffopt.lora_scaled,
        good={"scale": 1.0},
        wrong={"scale": (NONE, "1", True, math.nan, math.inf, Odd()), "adapter": (NONE, *NO_TEXT, "")},
    ),
    "lora_variations": PublicCall(
        function=pytest_diffopt.lora_variations,
        good={"plain": PLAIN},
        wrong={"plain": (NONE, "sdxl", 3, {}, [], Odd()), "adapter": (NONE, *NO_TEXT, "")},
    ),
    "no_syncs": PublicCall(
        function=pytest_diffopt.no_syncs, good=TARGET, wrong={"target": NO_TARGET, "allow_syncs": LIST}
    ),
    "parse_recipe": PublicCall(
        function=pytest_diffopt.parse_recipe, wrong={"text": (NONE, *NO_TEXT, "", "bf17", "bf16 +", "(" * 5000)}
    ),
    "register_optimization": PublicCall(
        function=pytest_diffopt.register_optimization, wrong={"kind": (NONE, "sdxl", 3, call, Layer, Odd())}
    ),
    "register_pipeline": PublicCall(
        function=pytest_diffopt.register_pipeline,
        good={"name": "wrong", "inputs": {}, "build_tiny": dict},
        wrong={
            "name": (NONE, *NO_TEXT, "", "a b", "sdxl"),
            "inputs": (NONE, "sdxl", 3, [], Odd()),
            "variations": ("sdxl", 3, [], {}, Odd()),
            "build_tiny": NO_FUNCTION,
            "build_random": NO_FUNCTION,
            "hub_id": (NONE, *NO_TEXT),
            "class_name": (NONE, *NO_TEXT, ""),
            "load_options": (NONE, *NO_FUNCTION),
            "largest_batch": (0, -1, 1.5, True, "1", Odd()),
        },
    ),
    "shape_variations": PublicCall(
        function=pytest_diffopt.shape_variations, wrong={"plain": (NONE, "sdxl", 3, {}, [], Odd())}
    ),
    "CompileGate": PublicCall(function=gate("CompileGate"), good=TARGET, wrong=CHECK),
    "CountGate": PublicCall(function=gate("CountGate"), good=TARGET, wrong=CHECK),
    "ImageGate": PublicCall(
        function=gate("ImageGate", fixture=dict),
        good=TARGET,
        wrong={**WITH_MARGIN, "margin": (NONE, *NO_FINITE_NUMBER)},
    ),
    "EffectGate": PublicCall(
        function=gate("EffectGate"),
        good=TARGET,
        wrong={**CHECK, "allow_unseen": (3, True, "bf16", {}, Odd(), ["bf17"], [3], NONE)},
    ),
    "KernelGate": PublicCall(function=gate("KernelGate"), good=TARGET, wrong=CHECK | {"timeline": (NONE, *NO_BOOLEAN)}),
    "LatencyGate": PublicCall(function=gate("LatencyGate", benchmark=dict), good=TARGET, wrong=WITH_MARGIN),
    "MemoryGate": PublicCall(function=gate("MemoryGate"), good=TARGET, wrong=WITH_MARGIN),
}
# A version; an enumeration, which Python checks; the base class of the user's own; and an error, which is caught.
NO_CALL = {"__version__", "Scale", "Optimization", "DiffoptAssertionError"}
CASES = [
    pytest.param(name, parameter, value, id=f"{name}-{parameter}-{number}")
    for name, public in CALLS.items()
    for parameter, values in public.wrong.items()
    for number, value in enumerate(values)
]


def test_every_public_call_is_here() -> None:
    """A new one needs its wrong values."""
    assert set(pytest_diffopt.__all__) - NO_CALL == set(CALLS)


@pytest.mark.parametrize("name", CALLS)
def test_every_parameter_is_here(name: str) -> None:
    """All but the arguments of the watched call."""
    parameters = inspect.signature(CALLS[name].function).parameters.values()
    own = {one.name for one in parameters if one.kind not in {one.VAR_POSITIONAL, one.VAR_KEYWORD}}

    assert own == set(CALLS[name].wrong)


@pytest.mark.parametrize(("name", "parameter", "value"), CASES)
def test_a_wrong_argument_is_one_sentence(name: str, parameter: str, value: object) -> None:
    """An error of this package, whose message has one line; it is shown without a traceback."""
    with pytest.raises(DiffoptError) as refused:
        CALLS[name](**{parameter: value})

    message = str(refused.value)
    assert message
    assert len(message.splitlines()) == 1
    assert len(message) < 1000
