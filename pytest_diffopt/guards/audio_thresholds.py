"""How far a waveform may be from its reference."""

import math
from dataclasses import dataclass

from pytest_diffopt.arguments import ANY_NUMBER, LIMIT, require
from pytest_diffopt.guards.image_noise import LATENT_ERROR_FLOOR, NOISE_FACTOR
from pytest_diffopt.guards.image_thresholds import EXACT_ARITHMETIC, ImageThresholds
from pytest_diffopt.records import RoundingNoise

_FIXED_SNR_DB = 12.0
_FIXED_SPECTRAL_DISTANCE = 0.12


@dataclass(frozen=True, kw_only=True, slots=True)
class AudioThresholds:
    """How far a waveform may be from its reference; both thresholds apply.

    A threshold of None is derived: 1.5 times what rounding alone does to the same call; where that was not measured,
    12 dB and 0.12.

    Attributes:
        min_snr_db: the least signal-to-noise ratio, in decibels.
        max_spectral_distance: the largest difference of the magnitude spectrograms, as a fraction of the reference's.
    """

    min_snr_db: float | None = None
    max_spectral_distance: float | None = None

    def __post_init__(self) -> None:
        """Raise ArgumentError for a threshold that is no number, or that no waveform could keep."""
        require(ANY_NUMBER.or_none(), self.min_snr_db, "AudioThresholds(min_snr_db=...)")  # -inf: no limit
        require(LIMIT.or_none(), self.max_spectral_distance, "AudioThresholds(max_spectral_distance=...)")

    def least_snr_db(self, noise: RoundingNoise | None, number: int) -> float:
        """Return the least signal-to-noise ratio of a waveform, in decibels."""
        if self.min_snr_db is not None:
            return self.min_snr_db
        if noise is None or number >= len(noise.audio_errors):
            return _FIXED_SNR_DB
        return -20 * math.log10(NOISE_FACTOR * noise.audio_errors[number] + LATENT_ERROR_FLOOR)

    def largest_spectral_distance(self, noise: RoundingNoise | None, number: int) -> float:
        """Return the largest allowed spectral distance of a waveform."""
        if self.max_spectral_distance is not None:
            return self.max_spectral_distance
        if noise is None or number >= len(noise.spectral_distances):
            return _FIXED_SPECTRAL_DISTANCE
        return NOISE_FACTOR * noise.spectral_distances[number] + LATENT_ERROR_FLOOR


#: Room for float32 rounding where only the order of additions changes: a relative error of 0.1 %, as for latents.
EXACT_AUDIO = AudioThresholds(min_snr_db=60.0, max_spectral_distance=1e-3)


def default_audio_thresholds(thresholds: ImageThresholds) -> AudioThresholds:
    """Return the thresholds of audio beside those of images, for a test that sets none for audio."""
    return EXACT_AUDIO if thresholds == EXACT_ARITHMETIC else AudioThresholds()
