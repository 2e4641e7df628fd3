"""LDR-FLIP: the visible difference when flipping between two images (Andersson et al. 2020), by its authors' code."""

import flip_evaluator
import numpy as np
import numpy.typing as npt

from pytest_diffopt.probes.color_channels import three_channels


def mean_flip(image: npt.NDArray[np.float64], reference: npt.NDArray[np.float64]) -> float:
    """Return the mean FLIP over all pixels: 0 for equal images, at most 1.

    Args:
        image: float in [0, 1], shape (height, width, channels).
        reference: the same shape.

    Returns:
        The mean; NaN when either image contains NaN or infinite values.
    """
    if not (np.isfinite(image).all() and np.isfinite(reference).all()):
        return float("nan")
    _, mean, _ = flip_evaluator.evaluate(three_channels(reference), three_channels(image), "LDR", applyMagma=False)
    return float(mean)


def flip_heat_map(image: npt.NDArray[np.float64], reference: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return FLIP of each pixel in the magma colormap, float in [0, 1], shape (height, width, 3).

    NaN and negative infinity count as 0, positive infinity as 1.
    """
    ours, theirs = np.nan_to_num(image, posinf=1.0, neginf=0.0), np.nan_to_num(reference, posinf=1.0, neginf=0.0)
    colored, _, _ = flip_evaluator.evaluate(three_channels(theirs), three_channels(ours), "LDR", computeMeanError=False)
    colors: npt.NDArray[np.float64] = np.clip(colored, 0.0, 1.0).astype(np.float64)
    return colors
