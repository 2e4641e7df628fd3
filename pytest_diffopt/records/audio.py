"""Differences between waveforms."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class AudioDifference:
    """Difference of one waveform from its reference.

    Where the lengths differ, the common part is compared.

    Attributes:
        num_samples: samples of each channel.
        reference_num_samples: samples of each channel of the reference.
        sampling_rate_hz: samples per second; 0 when unknown.
        reference_sampling_rate_hz: samples per second of the reference; 0 when unknown.
        snr_db: signal-to-noise ratio in decibels, the reference as the signal; infinite for equal waveforms.
        spectral_distance: spectral convergence (Arik et al. 2018): the Frobenius norm of the difference of both
            magnitude spectrograms, divided by that of the reference's; 0 for equal sound, little affected by phases.
        delay_samples: by how many samples the waveform comes later than the reference, where shifting it by them makes
            both alike; negative if it comes earlier.
        defects: defects of either waveform ("the audio is silent"); empty without a defect.
        envelope: root mean square of consecutive parts of equal length, for a chart.
        reference_envelope: the same of the reference.
    """

    num_samples: int
    reference_num_samples: int
    sampling_rate_hz: int
    reference_sampling_rate_hz: int
    snr_db: float
    spectral_distance: float
    delay_samples: int = 0
    defects: tuple[str, ...] = ()
    envelope: tuple[float, ...] = ()
    reference_envelope: tuple[float, ...] = ()
