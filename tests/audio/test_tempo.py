import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstaudio.audio.tempo import Tempo

RATE = 22050


def voiced(num_samples: int) -> np.ndarray:
    """A buzz at 150 Hz."""
    time = np.arange(num_samples) / RATE
    return (6000 * np.sin(2 * np.pi * 150 * time) + 2000 * np.sin(2 * np.pi * 1200 * time)).astype(np.int16)


def stretch(pcm: np.ndarray, factor: float, cuts: list[int] | None = None) -> np.ndarray:
    tempo = Tempo(RATE, factor)
    pieces = np.split(pcm, sorted(cut for cut in cuts or [] if cut < len(pcm)))
    return np.concatenate([*(tempo.push(piece) for piece in pieces), tempo.finish()])


@settings(max_examples=25, deadline=None)
@given(
    factor=st.sampled_from([0.25, 0.5, 0.8, 1.25, 2.0, 4.0]),
    num_samples=st.integers(0, 15000),
    cuts=st.lists(st.integers(0, 15000), max_size=8),
)
def test_streamed_is_whole_and_the_length_is_exact(factor: float, num_samples: int, cuts: list[int]) -> None:
    pcm = voiced(num_samples)
    streamed = stretch(pcm, factor, cuts)
    assert (round(num_samples / factor) + 220 if num_samples else 0) == len(streamed)
    assert np.array_equal(stretch(pcm, factor), streamed)


@pytest.mark.parametrize("factor", [0.25, 0.6, 1.5, 4.0])
def test_the_pitch_stays(factor: float) -> None:
    out = stretch(voiced(RATE), factor).astype(float)
    spectrum = np.abs(np.fft.rfft(out * np.hanning(len(out))))
    loudest_hz = np.argmax(spectrum) * RATE / len(out)
    assert abs(loudest_hz - 150) < 5


@pytest.mark.parametrize("factor", [0.25, 0.5, 0.8, 1.5, 2.0, 3.0, 4.0])
@pytest.mark.parametrize("lead_s", [0.0, 0.3, 0.5])
def test_the_tail_is_not_lost(factor: float, lead_s: float) -> None:
    pcm = np.concatenate([np.zeros(round(lead_s * RATE), np.int16), voiced(RATE // 5)])
    ending = stretch(pcm, factor)[round((lead_s + 0.1) * RATE / factor) :].astype(float)
    wanted = pcm[-RATE // 10 :].astype(float)
    assert 0.7 < np.sum(ending**2) * factor / np.sum(wanted**2) < 1.5


def test_factor_one_passes_unchanged() -> None:
    pcm = voiced(100)
    tempo = Tempo(RATE, 1.0)
    assert (tempo.push(pcm) is pcm, len(tempo.finish())) == (True, 0)


@pytest.mark.parametrize("factor", [0.0, -1.0, 0.05, 11.0, float("nan")])
def test_an_impossible_factor_is_refused(factor: float) -> None:
    with pytest.raises(ValueError, match="factor"):
        Tempo(RATE, factor)
