"""LDR-FLIP: what a person sees who flips between two pictures (Andersson et al. 2020), as its authors compute it."""

import flip_evaluator
import numpy as np
import numpy.typing as npt

_COLOUR_CHANNELS = 3


def mean_flip(image: npt.NDArray[np.float64], reference: npt.NDArray[np.float64]) -> float:
    """Return the mean over all pixels: 0 for equal pictures, at most 1.

    Args:
        image: float in [0, 1], shape (height, width, channels).
        reference: as large.

    Returns:
        NaN where either holds a value that is no number.
    """
    if not (np.isfinite(image).all() and np.isfinite(reference).all()):
        return float("nan")
    _, mean, _ = flip_evaluator.evaluate(_as_colours(reference), _as_colours(image), "LDR", applyMagma=False)
    return float(mean)


def flip_heat_map(image: npt.NDArray[np.float64], reference: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return FLIP of each pixel in the colours of magma, float in [0, 1], shape (height, width, 3).

    Values that are no number are drawn as black: their place is told by their neighbours' difference.
    """
    ours, theirs = np.nan_to_num(image, posinf=1.0, neginf=0.0), np.nan_to_num(reference, posinf=1.0, neginf=0.0)
    drawn, _, _ = flip_evaluator.evaluate(_as_colours(theirs), _as_colours(ours), "LDR", computeMeanError=False)
    colours: npt.NDArray[np.float64] = np.clip(drawn, 0.0, 1.0).astype(np.float64)
    return colours


def _as_colours(picture: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Return three channels, which FLIP is made for: one of grey is each of them, and transparency is left out."""
    channels = picture.shape[-1]
    colours = picture[..., :_COLOUR_CHANNELS] if channels >= _COLOUR_CHANNELS else picture[..., [0, 0, 0]]
    return np.ascontiguousarray(np.clip(colours, 0.0, 1.0), dtype=np.float32)
