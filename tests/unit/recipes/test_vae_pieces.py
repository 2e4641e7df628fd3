"""The effect of a VAE in pieces, from the calls of its inner modules."""

from types import SimpleNamespace

import pytest

from pytest_diffopt.recipes.vae_pieces import VaeSlicing, VaeTiling
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


def sized(method: str, whole: int, piece: int, *, component: str = "vae") -> VaeCalls:
    """Return calls of a VAE with squares of one size, in pieces."""
    return VaeCalls(component=component, method=method, whole=(1, 4, whole, whole), piece=(1, 4, piece, piece), count=1)


@pytest.mark.parametrize(
    ("vaes", "value", "lacking"),
    [
        ((sized("decode", 32, 16),), 1, ()),
        ((sized("decode", 32, 16), sized("decode", 8, 8, component="audio_vae")), 1, ()),
        ((sized("decode", 32, 16), sized("decode", 24, 24)), 1, ("vae.decode ran in one piece of 24 x 24",)),
        ((sized("encode", 64, 32), sized("decode", 32, 32)), 1, ("vae.decode ran in one piece of 32 x 32",)),
        ((sized("decode", 8, 8),), 0, ("vae.decode ran in one piece of 8 x 8",)),
    ],
    ids=["tiled", "smaller than a tile", "larger than a tile", "other units", "nothing in tiles"],
)
def test_what_is_larger_than_a_tile_lacks_tiles(
    vaes: tuple[VaeCalls, ...], value: int, lacking: tuple[str, ...]
) -> None:
    """Latents are compared with tiles of latents, and images with those of images."""
    effect = VaeTiling().effect(SimpleNamespace(), CallEvidence(device="cpu", num_steps=2, vaes=vaes))

    assert (effect.value, effect.lacking) == (value, lacking)
