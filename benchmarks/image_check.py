"""Measure the cost of one image check on one core: `python benchmarks/image_check.py [--size 512] [--lpips]`.

The images are a photograph from scikit-image, and the same photograph with noise of the size of bfloat16's rounding.
CPU time of this process is measured, so other processes do not count. `--lpips` needs the extra `lpips` and AlexNet's
weights; random weights of the same shapes cost the same.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from skimage import data, transform

from pytest_diffopt.guards.image_thresholds import ImageThresholds
from pytest_diffopt.guards.images import judge_images
from pytest_diffopt.probes.flip import flip_heat_map, mean_flip
from pytest_diffopt.probes.image_arrays import images_of
from pytest_diffopt.probes.images import compare_images
from pytest_diffopt.probes.lpips import lpips_of
from pytest_diffopt.records import Subject

_ROUNDS = 5
_NOISE = 0.004


def main() -> None:
    """Print the median of each part."""
    parser = argparse.ArgumentParser(description="measure the cost of one image check")
    parser.add_argument("--size", type=int, default=512, help="width and height in pixels")
    parser.add_argument("--lpips", action="store_true", help="also measure LPIPS")
    asked = parser.parse_args()
    size = asked.size
    torch.set_num_threads(1)
    reference = transform.resize(data.astronaut(), (size, size), anti_aliasing=True)[np.newaxis]
    noise = np.random.default_rng(0).normal(0.0, _NOISE, reference.shape)
    tensor = torch.from_numpy(np.clip(reference + noise, 0.0, 1.0)).permute(0, 3, 1, 2).bfloat16()
    image = images_of(tensor)

    print(f"{size} x {size} pixels, CPU time, median of {_ROUNDS}")
    lpips = {"LPIPS, if requested": lambda: lpips_of(image, reference)} if asked.lpips else {}
    for name, part in {
        "read a tensor": lambda: images_of(tensor),
        "FLIP alone": lambda: mean_flip(image[0], reference[0]),
        "all figures": lambda: compare_images(image, reference, Subject(pipeline="benchmark")),
        "the whole check": lambda: _check(tensor, reference),
        "heat map of a failed check": lambda: flip_heat_map(image[0], reference[0]),
        **lpips,
    }.items():
        print(f"  {name:<29} {_median_seconds(part):.3f} s")


def _check(tensor: torch.Tensor, reference: object) -> None:
    record = compare_images(images_of(tensor), images_of(reference), Subject(pipeline="benchmark"))
    judge_images(record, ImageThresholds())


def _median_seconds(part: Callable[[], object]) -> float:
    seconds = []
    for _ in range(_ROUNDS):
        start = time.process_time()
        part()
        seconds.append(time.process_time() - start)
    return sorted(seconds)[_ROUNDS // 2]


if __name__ == "__main__":
    main()
