"""A waveform is compared with its reference by length, rate, noise and spectrum."""

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from pytest_diffopt.errors import ProbeError
from pytest_diffopt.probes.audio import ENVELOPE_PARTS, Waveforms, compare_audio, sampling_rate_hz, waveforms_of
from pytest_diffopt.records import AudioDifference

RATE_HZ = 16_000


def melody(seconds: float = 0.5, *, channels: int = 2) -> np.ndarray[Any, Any]:
    """Return tones that rise, shape (1, channels, samples)."""
    time = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    tone = 0.4 * np.sin(2 * np.pi * (300 + 500 * time) * time) * (0.3 + np.abs(np.sin(9 * time)))
    return np.stack([tone * (1 - 0.2 * channel) for channel in range(channels)])[np.newaxis]


def compared(ours: Any, theirs: Any = None, *, rate_hz: int = RATE_HZ) -> AudioDifference:
    """Compare one waveform with the melody."""
    reference = Waveforms(samples=melody() if theirs is None else theirs, rate_hz=RATE_HZ)
    (found,) = compare_audio(Waveforms(samples=ours, rate_hz=rate_hz), reference)
    return found


def test_equal_audio_has_no_noise() -> None:
    """Its signal-to-noise ratio is infinite."""
    found = compared(melody())

    assert (found.snr_db, found.spectral_distance, found.delay_samples) == (math.inf, 0.0, 0)
    assert len(found.envelope) == ENVELOPE_PARTS
    assert found.envelope == found.reference_envelope
    assert found.defects == ()


def test_noise_is_measured_in_decibels() -> None:
    """A relative error of 1 % is 40 dB."""
    error = np.random.default_rng(0).standard_normal(melody().shape)
    error *= 0.01 * np.linalg.norm(melody()) / np.linalg.norm(error)
    found = compared(melody() + error)

    assert found.snr_db == pytest.approx(40)
    assert 0.001 < found.spectral_distance < 0.02
    assert found.delay_samples == 0


@pytest.mark.parametrize("delay", [160, -160, 1])
def test_a_delay_is_found(delay: int) -> None:
    """To the sample, of later and of earlier audio."""
    found = compared(np.roll(melody(), delay, axis=-1))

    assert found.delay_samples == delay
    assert found.snr_db < (5 if abs(delay) > 1 else 30)


def test_another_phase_changes_the_waveform_more_than_the_spectrum() -> None:
    """Inverted audio sounds the same."""
    found = compared(-melody())

    assert found.snr_db == pytest.approx(-6.02, abs=0.01)
    assert found.spectral_distance == pytest.approx(0.0)


def test_the_common_part_of_other_lengths_is_compared() -> None:
    """The lengths are recorded."""
    found = compared(melody()[..., :7000])

    assert (found.num_samples, found.reference_num_samples, found.snr_db) == (7000, 8000, math.inf)


@pytest.mark.parametrize(
    ("audio", "defect"),
    [
        (np.zeros((1, 2, 8000)), "the audio is silent"),
        (np.full((1, 2, 8000), np.nan), "the audio holds 16000 values that are NaN or infinite"),
    ],
    ids=["silent", "NaN"],
)
def test_audio_that_is_no_sound_is_a_defect(audio: Any, defect: str) -> None:
    """Whatever it is compared with."""
    assert compared(audio).defects == (defect,)
    assert compared(melody(), audio).defects == (defect.replace("the audio", "the reference audio"),)


@pytest.mark.parametrize(
    ("audio", "shape"),
    [
        (torch.zeros(2, 2, 68, dtype=torch.bfloat16), (2, 2, 68)),
        (np.zeros((3, 68)), (3, 1, 68)),
        (np.zeros(68, dtype=np.float32), (1, 1, 68)),
        ([torch.zeros(2, 68), torch.zeros(2, 68)], (2, 2, 68)),
        (np.zeros((1, 68), dtype=np.int16), (1, 1, 68)),
    ],
    ids=["tensor", "one channel", "one waveform", "list", "int16"],
)
def test_waveforms_come_in_many_forms(audio: Any, shape: tuple[int, ...]) -> None:
    """The last dimension is time."""
    assert waveforms_of(audio).samples.shape == shape


def test_int16_is_scaled() -> None:
    """To the range of floating-point audio."""
    assert waveforms_of(np.array([[-32768, 16384]], dtype=np.int16)).samples.tolist() == [[[-1.0, 0.5]]]


@pytest.mark.parametrize(
    ("audio", "message"),
    [
        ("a text", "audio must come as floating-point or int16 tensors or arrays, got: str"),
        (
            np.zeros(3, dtype=np.int64),
            "audio must come as floating-point or int16 tensors or arrays, got: ndarray of int64",
        ),
        (np.zeros((1, 2, 3, 4)), "audio must have the shape (number, channels, samples), got: (1, 2, 3, 4)"),
        ([np.zeros(3), np.zeros(4)], "all waveforms of a call must have the same length, got: (3,), (4,)"),
    ],
)
def test_other_values_are_no_audio(audio: Any, message: str) -> None:
    """The message states the rule and the value."""
    with pytest.raises(ProbeError) as error:
        waveforms_of(audio)

    assert str(error.value) == message


def test_other_numbers_of_channels_are_refused() -> None:
    """Stereo cannot be compared with mono."""
    with pytest.raises(ProbeError, match="audio and its reference must have the same number and channels, got"):
        compared(melody(channels=1))


def test_the_rate_is_that_of_the_last_part_that_makes_sound() -> None:
    """A vocoder raises the rate of the audio VAE; an output may state it itself."""

    class Part(torch.nn.Module):
        def __init__(self, **config: int) -> None:
            super().__init__()
            self.config = SimpleNamespace(**config)

    parts = {
        "audio_vae": Part(sample_rate=16_000),
        "vocoder": Part(output_sampling_rate=24_000, input_sampling_rate=16_000),
    }
    pipeline = SimpleNamespace(components=parts)

    assert sampling_rate_hz(pipeline) == 24_000
    assert sampling_rate_hz(SimpleNamespace(components={"audio_vae": parts["audio_vae"]})) == 16_000
    assert sampling_rate_hz(pipeline, {"sampling_rate": 48_000}) == 48_000
    assert sampling_rate_hz(lambda: None) == 0
