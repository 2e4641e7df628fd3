"""What is wrong with a waveform: its length, rate, delay, noise and spectrum."""

from collections.abc import Iterator

from pytest_diffopt.guards.audio_thresholds import AudioThresholds
from pytest_diffopt.guards.failure_text import allowed
from pytest_diffopt.records import AudioDifference, ImageRecord


def audio_violations(record: ImageRecord, thresholds: AudioThresholds) -> list[str]:
    """Return what is wrong with each waveform of a record.

    Args:
        record: the comparison.
        thresholds: the allowed differences.
    """
    is_one = len(record.audio) == 1
    return [
        f"{'audio' if is_one else f'audio {number}'}: {line}"
        for number, one in enumerate(record.audio)
        for line in (*one.defects, *_violations(number, record, thresholds))
    ]


def _violations(number: int, record: ImageRecord, thresholds: AudioThresholds) -> Iterator[str]:
    found = record.audio[number]
    if found.num_samples != found.reference_num_samples:
        yield f"{found.num_samples} samples ({found.reference_num_samples} in the reference)"
    if found.sampling_rate_hz != found.reference_sampling_rate_hz:
        yield f"{found.sampling_rate_hz} samples per second ({found.reference_sampling_rate_hz} in the reference)"
    snr_db = thresholds.least_snr_db(record.noise, number)
    distance = thresholds.largest_spectral_distance(record.noise, number)
    is_far = not found.snr_db >= snr_db  # negated, so that NaN is a violation
    if is_far:
        yield f"signal-to-noise ratio {found.snr_db:.1f} dB (at least {snr_db:.4g} dB required)"
    if not found.spectral_distance <= distance:
        yield f"spectral distance {found.spectral_distance:.4f} {allowed(f'{distance:.4g}')}"
    if is_far and found.delay_samples:
        yield f"{_delay(found)} than the reference"


def _delay(found: AudioDifference) -> str:
    direction = "later" if found.delay_samples > 0 else "earlier"
    samples = abs(found.delay_samples)
    if not found.sampling_rate_hz:
        return f"{samples} samples {direction}"
    return f"{1000 * samples / found.sampling_rate_hz:.1f} ms ({samples} samples) {direction}"
