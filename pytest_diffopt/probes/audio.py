"""Waveforms in the output of a call, and their differences from their references."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from pytest_diffopt.errors import ProbeError
from pytest_diffopt.pipelines.components import modules_of
from pytest_diffopt.records import AudioDifference

Samples = npt.NDArray[np.float64]

# The names of the rate in diffusers' and transformers' configurations; a vocoder may raise the rate of its input.
_RATE_NAMES = ("output_sampling_rate", "output_sample_rate", "sampling_rate", "sample_rate", "audio_sampling_rate")
# What makes sound, the last in the pipeline first.
_SOUND_PARTS = ("vocoder", "audio_vae", "audio_decoder", "vae")
_RANK_OF_BATCH = 3
_LARGEST_INT16 = 32768.0
_WINDOW = 1024
#: The parts of a waveform in a chart.
ENVELOPE_PARTS = 160
# A delay is searched up to half a second, and is one if the shifted waveforms agree this much better.
_LONGEST_DELAY = 0.5
_DEFAULT_RATE_HZ = 16000
_MOST_LEFT = 0.5
_SILENT_BELOW = 1e-6


@dataclass(frozen=True, kw_only=True, slots=True)
class Waveforms:
    """Audio of one call.

    Attributes:
        samples: float64, shape (number, channels, samples).
        rate_hz: samples per second; 0 when unknown.
    """

    samples: Samples
    rate_hz: int = 0


def waveforms_of(audio: Any, *, rate_hz: int = 0) -> Waveforms:
    """Return waveforms as float64, shape (number, channels, samples).

    Args:
        audio: a tensor, an array, or a list of them; the last dimension is time. Without a dimension of channels it is
            one channel. int16 values are divided by 32768.
        rate_hz: samples per second; 0 when unknown.

    Raises:
        ProbeError: these are no waveforms, or of different lengths.
    """
    samples = samples_of(audio)
    if samples.ndim < _RANK_OF_BATCH:
        samples = samples.reshape(1 if samples.ndim <= 1 else len(samples), 1, -1)
    if samples.ndim != _RANK_OF_BATCH or not samples.size:
        msg = f"audio must have the shape (number, channels, samples), got: {samples.shape}"
        raise ProbeError(msg)
    return Waveforms(samples=samples, rate_hz=rate_hz)


def samples_of(audio: Any) -> Samples:
    """Return every value of audio as float64; int16 values are divided by 32768.

    Raises:
        ProbeError: it has an unsupported type, or is a list of waveforms of different lengths.
    """
    if isinstance(audio, torch.Tensor):
        return samples_of(audio.detach().cpu().to(torch.float64 if audio.is_floating_point() else audio.dtype).numpy())
    if isinstance(audio, np.ndarray) and audio.dtype == np.int16:
        return audio.astype(np.float64) / _LARGEST_INT16
    if isinstance(audio, np.ndarray) and np.issubdtype(audio.dtype, np.floating):
        return audio.astype(np.float64)
    if isinstance(audio, (list, tuple)) and audio:
        return _stacked([samples_of(item) for item in audio])
    given = f"{type(audio).__name__}" + (f" of {audio.dtype}" if isinstance(audio, np.ndarray) else "")
    msg = f"audio must come as floating-point or int16 tensors or arrays, got: {given}"
    raise ProbeError(msg)


def sampling_rate_hz(target: Any, output: Any = None) -> int:
    """Return the samples per second of a call's audio; 0 when neither the output nor a component states it.

    Args:
        target: the called pipeline.
        output: its output.
    """
    parts = modules_of(target)
    configs = [getattr(parts[name], "config", None) for name in _SOUND_PARTS if name in parts]
    for holder in (output, *configs):
        for name in _RATE_NAMES:
            rate = holder.get(name) if isinstance(holder, Mapping) else getattr(holder, name, None)
            if isinstance(rate, int) and rate > 0:
                return rate
    return 0


def compare_audio(audio: Waveforms, reference: Waveforms) -> tuple[AudioDifference, ...]:
    """Compare each waveform with its reference, over the part that both have.

    Args:
        audio: waveforms of the optimized pipeline.
        reference: the same number of waveforms with the same channels.

    Raises:
        ProbeError: the numbers of waveforms or channels differ.
    """
    ours, theirs = audio.samples, reference.samples
    if ours.shape[:2] != theirs.shape[:2]:
        msg = f"audio and its reference must have the same number and channels, got: {ours.shape} and {theirs.shape}"
        raise ProbeError(msg)
    rates = (audio.rate_hz, reference.rate_hz)
    return tuple(_difference(*pair, *rates) for pair in zip(ours, theirs, strict=True))


def _difference(ours: Samples, theirs: Samples, rate_hz: int, reference_rate_hz: int) -> AudioDifference:
    length = min(ours.shape[-1], theirs.shape[-1])
    ours_part, theirs_part = ours[:, :length], theirs[:, :length]
    defects = (*_defects(ours, "the audio"), *_defects(theirs, "the reference audio"))
    is_finite = bool(np.isfinite(ours_part).all() and np.isfinite(theirs_part).all())
    return AudioDifference(
        num_samples=ours.shape[-1],
        reference_num_samples=theirs.shape[-1],
        sampling_rate_hz=rate_hz,
        reference_sampling_rate_hz=reference_rate_hz,
        snr_db=_snr_db(ours_part, theirs_part) if is_finite else math.nan,
        spectral_distance=_spectral_distance(ours_part, theirs_part) if is_finite else math.nan,
        delay_samples=_delay(ours_part, theirs_part, rate_hz or _DEFAULT_RATE_HZ) if is_finite else 0,
        defects=defects,
        envelope=_envelope(ours),
        reference_envelope=_envelope(theirs),
    )


def _snr_db(ours: Samples, theirs: Samples) -> float:
    noise, power = float(np.square(ours - theirs).sum()), float(np.square(theirs).sum())
    if not noise:
        return math.inf
    return 10 * math.log10(power / noise) if power else -math.inf


def _spectral_distance(ours: Samples, theirs: Samples) -> float:
    magnitudes = [_magnitudes(one) for one in (ours, theirs)]
    difference, length = (float(np.linalg.norm(one)) for one in (magnitudes[0] - magnitudes[1], magnitudes[1]))
    return difference / length if length else (math.inf if difference else 0.0)


def _magnitudes(samples: Samples) -> Samples:
    from scipy.signal import stft  # noqa: PLC0415 - takes half a second to import, and images do not need it

    window = min(_WINDOW, samples.shape[-1])
    _, _, spectrum = stft(samples, nperseg=window, noverlap=window * 3 // 4)
    magnitudes: Samples = np.abs(spectrum).astype(np.float64)
    return magnitudes


def _delay(ours: Samples, theirs: Samples, rate_hz: int) -> int:
    """Return the shift that explains at least half of the difference; 0 if none does."""
    from scipy.signal import correlate  # noqa: PLC0415 - takes half a second to import, and images do not need it

    length, error = ours.shape[-1], float(np.linalg.norm(ours - theirs))
    if not error:
        return 0
    correlation = sum(correlate(one, other, method="fft") for one, other in zip(ours, theirs, strict=True))
    longest = min(length // 2, int(_LONGEST_DELAY * rate_hz))
    near = correlation[length - 1 - longest : length + longest]
    delay = int(np.argmax(near)) - longest
    shifted, kept = (ours, theirs) if delay >= 0 else (theirs, ours)
    left = shifted[:, abs(delay) :] - kept[:, : length - abs(delay)]
    return delay if float(np.linalg.norm(left)) <= _MOST_LEFT * error else 0


def _envelope(samples: Samples) -> tuple[float, ...]:
    power = np.square(np.nan_to_num(samples, posinf=1.0, neginf=-1.0)).mean(axis=0)
    parts = np.array_split(power, min(ENVELOPE_PARTS, len(power)))
    return tuple(float(math.sqrt(part.mean())) for part in parts)


def _defects(samples: Samples, name: str) -> Iterator[str]:
    not_finite = int(np.count_nonzero(~np.isfinite(samples)))
    if not_finite:
        yield f"{name} holds {not_finite} values that are NaN or infinite"
    elif float(np.abs(samples).max()) < _SILENT_BELOW:
        yield f"{name} is silent"


def _stacked(waveforms: list[Samples]) -> Samples:
    shapes = sorted({one.shape for one in waveforms})
    if len(shapes) > 1:
        msg = f"all waveforms of a call must have the same length, got: {', '.join(map(str, shapes))}"
        raise ProbeError(msg)
    return np.stack(waveforms)
