"""Whether compiled code runs in CUDA graphs, and what kept it out of them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pytest_diffopt._torch_private.cuda_graphs import GraphState, KeptOut, compile_ids, graph_states, kept_out
from pytest_diffopt.records.code_location import is_machinery, shorten

_NO_REASON = "torch gives no reason; for code from its cache, TORCHINDUCTOR_FORCE_DISABLE_CACHES=1 shows it"
_HAS_GRAPH = frozenset({GraphState.RECORDED, GraphState.PENDING})
_SHOWN = 3


def targets_without_graphs(parts: Mapping[str, Sequence[Any]]) -> Iterator[str]:
    """Yield `<name> launches no CUDA graph (<reasons>)` for each part without one.

    A graph that torch records at the next call counts. Code after a graph break belongs to a function of its own: where
    a graph belongs to none of the parts, a part may have it, and no part is reported.

    Args:
        parts: the compiled functions of each part by its name.
    """
    ids = {name: _ids(functions) for name, functions in parts.items()}
    states = graph_states()
    if any(states[one] in _HAS_GRAPH for one in states.keys() - frozenset[str]().union(*ids.values())):
        return
    for name, own in ids.items():
        if own and not any(states.get(one) in _HAS_GRAPH for one in own):
            yield f"{name} launches no CUDA graph ({_reasons(own)})"


def layers_of(function: Any) -> list[Any]:
    """Return a function and those that it wraps, the outermost first."""
    layers = [function]
    while hasattr(layers[-1], "__wrapped__"):
        layers.append(layers[-1].__wrapped__)
    return layers


def _ids(functions: Sequence[Any]) -> frozenset[str]:
    layers = (layer for function in functions for layer in layers_of(function))
    return frozenset[str]().union(*(compile_ids(layer.__code__) for layer in layers))


def _reasons(ids: frozenset[str]) -> str:
    # what torch finds at a call, and not while it compiles, has no id
    found = dict.fromkeys(_in_words(one) for compile_id in (*sorted(ids), "") for one in kept_out(compile_id))
    more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return ("; ".join(list(found)[:_SHOWN]) + more) or _NO_REASON


def _in_words(one: KeptOut) -> str:
    users = [(path, line) for path, line, _function in one.stack if not is_machinery(path)]
    return f"{one.reason} at {shorten(users[-1][0])}:{users[-1][1]}" if users else one.reason
