"""The effect of a VAE in pieces, from the calls of its inner modules."""

from types import SimpleNamespace

import pytest

from pytest_diffopt.recipes.vae_pieces import VaeSlicing
from pytest_diffopt.records import CallEvidence, VaeCalls


def called(method: str, images: int, at_once: int) -> VaeCalls:
    """Return calls of a VAE with a number of images, of which the inner module had some at once."""
    return VaeCalls(
        component="vae", method=method, whole=(images, 4, 8, 8), piece=(at_once, 4, 8, 8), count=images // at_once
    )


@pytest.mark.parametrize(
    ("vaes", "value", "lacking"),
    [
        ((called("decode", 2, 1),), 2, ()),
        ((called("decode", 2, 1), called("encode", 1, 1)), 2, ()),
        ((called("decode", 2, 1), called("encode", 2, 2)), 2, ("vae.encode ran a batch of 2 whole",)),
        ((called("decode", 1, 1),), 0, ("vae.decode ran a batch of 1 whole",)),
    ],
    ids=["sliced", "one image needs no slices", "a whole batch", "nothing to slice"],
)
def test_a_batch_that_runs_whole_lacks_slices(vaes: tuple[VaeCalls, ...], value: int, lacking: tuple[str, ...]) -> None:
    """One image, as the masked one of inpainting, is no batch; where there is nothing else, it explains the 0."""
    effect = VaeSlicing().effect(SimpleNamespace(), CallEvidence(device="cpu", num_steps=2, vaes=vaes))

    assert (effect.value, effect.lacking) == (value, lacking)
