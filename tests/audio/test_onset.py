import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstaudio.audio.onset import OnsetParameters, find_onset

RATE = 24_000


def tone(duration_s: float, level_dbfs: float = -20.0, rate: int = RATE) -> np.ndarray:
    """A tone whose first sample is its loudest."""
    time = np.arange(round(duration_s * rate)) / rate
    return (np.sqrt(2) * 10 ** (level_dbfs / 20) * np.cos(2 * np.pi * 400 * time)).astype(np.float32)


def silence(num_samples: int) -> np.ndarray:
    return np.zeros(num_samples, np.float32)


@settings(max_examples=50, deadline=None)
@given(lead=st.integers(0, 5000), rate=st.sampled_from([16000, 22050, 24000, 48000]))
def test_an_abrupt_onset_is_found_to_the_sample(lead: int, rate: int) -> None:
    assert lead == find_onset(np.concatenate([silence(lead), tone(0.2, rate=rate)]), rate)


def test_int16_and_float32_agree() -> None:
    pcm = np.concatenate([silence(777), tone(0.1)])
    assert find_onset((pcm * 32768).astype(np.int16), RATE) == 777


def test_an_offset_is_not_sound() -> None:
    assert find_onset(np.full(RATE, 0.5, np.float32), RATE) is None


def test_an_offset_does_not_hide_the_onset() -> None:
    pcm = np.concatenate([silence(1000), tone(0.1)]) + np.float32(0.2)
    assert find_onset(pcm, RATE) == 1000


def test_a_click_is_not_speech() -> None:
    pcm = silence(RATE)
    pcm[5000] = 1.0
    assert find_onset(pcm, RATE) is None


def test_a_click_before_speech_is_passed_over() -> None:
    pcm = np.concatenate([silence(4000), tone(0.1)])
    pcm[1000] = 1.0
    assert find_onset(pcm, RATE) == 4000


@pytest.mark.parametrize(("level_dbfs", "audible"), [(-39.0, True), (-41.0, False)])
def test_the_level_decides(level_dbfs: float, audible: bool) -> None:
    assert audible == (find_onset(tone(0.3, level_dbfs), RATE) is not None)


def test_the_parameters_are_obeyed() -> None:
    assert find_onset(tone(0.3, -50.0), RATE, OnsetParameters(threshold_dbfs=-55.0)) is not None
    assert find_onset(tone(0.3), RATE, OnsetParameters(sustained_s=1.0)) is None


@pytest.mark.parametrize("num_samples", [0, 1, 239, 240, 480])
def test_what_is_too_short_to_be_sustained_has_no_onset(num_samples: int) -> None:
    assert find_onset(tone(1.0)[:num_samples], RATE) is None


@pytest.mark.parametrize("sample_rate", [8_000, 24_000])
@pytest.mark.parametrize("frequency", [100.0, 220.0, 1000.0])
@pytest.mark.parametrize("amplitude", [0.05, 0.3, 0.9])
@pytest.mark.parametrize("silence_ms", [0, 7, 50])
def test_an_abrupt_tone_begins_where_it_begins(sample_rate: int, frequency: float, amplitude: float, silence_ms: int):
    """To the first sample that reaches the level, however loud or low the tone is."""
    time_s = np.arange(sample_rate // 5) / sample_rate
    silence = silence_ms * sample_rate // 1000
    tone = amplitude * np.cos(2 * np.pi * frequency * time_s)
    pcm = np.concatenate([np.zeros(silence), tone]).astype(np.float32)

    found = find_onset(pcm, sample_rate)

    assert found is not None
    assert silence <= found <= silence + sample_rate // frequency / 4
