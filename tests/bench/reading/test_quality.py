import math

import numpy as np
import pytest

from firstaudio.bench.exchange import FailureKind
from firstaudio.bench.reading.quality import differs, failure, inspect, num_speakable, summarise
from firstaudio.bench.record import OK, ChunkRow, RequestRecord

RATE = 24000


def tone(duration_s: float, amplitude: float = 0.3) -> np.ndarray:
    return (amplitude * np.sin(2 * math.pi * 200 * np.arange(round(duration_s * RATE)) / RATE)).astype(np.float32)


def silence(duration_s: float) -> np.ndarray:
    return np.zeros(round(duration_s * RATE), np.float32)


def rows(*num_samples: int) -> list[ChunkRow]:
    return [ChunkRow(at, 2 * n, n) for at, n in enumerate(num_samples)]


def findings(*parts: np.ndarray, chunks: list[ChunkRow] | None = None, num_characters: int = 10, speed: float = 1.0):
    pcm = np.concatenate(parts)
    return inspect(pcm, RATE, chunks or rows(len(pcm)), num_characters, speed)


def record(quality: dict[str, float], text: str = "a text", **fields: object) -> RequestRecord:
    known: dict[str, object] = dict.fromkeys(RequestRecord.__dataclass_fields__)
    known |= {"cell": "c", "index": 0, "client": 0, "phase": "measured", "label": "warm", "text_class": "short"}
    known |= {"text": text, "speed": 1.0, "outcome": OK, "message": "", "scheduled_ns": 0, "dispatched_ns": 0}
    return RequestRecord(**{**known, "chunks": (), "server_timing_ms": {}, "quality": quality, **fields})  # type: ignore[arg-type]


GOOD = {
    "duration_s": 1.0,
    "num_characters": 20.0,
    "ms_per_character": 60.0,
    "onset_ms": 0.0,
    "silence_share": 0.1,
    "longest_silence_ms": 100.0,
    "level_dbfs": -20.0,
    "peak": 0.5,
    "clipped_share": 0.0,
    "dc_offset": 0.0,
    "num_clicks": 0.0,
    "click_z": 0.0,
    "tail_db": -60.0,
    "headers_inside": 0.0,
}


def test_silence_is_counted_where_it_is() -> None:
    """100 ms before, 300 between, 100 behind 500 ms of tone: 50 frames of 100 are silent."""
    found = findings(silence(0.1), tone(0.2), silence(0.3), tone(0.3), silence(0.1))
    assert found["silence_share"] == pytest.approx(0.5)
    assert (found["longest_silence_ms"], found["duration_s"]) == (300.0, 1.0)
    assert found["onset_ms"] == pytest.approx(100, abs=10)
    assert (found["leading_silence_share"], found["trailing_silence_share"]) == pytest.approx((0.1, 0.1))


def test_time_per_character_is_from_the_first_to_the_last_sound_at_normal_speed() -> None:
    parts = (silence(0.1), tone(0.2), silence(0.3), tone(0.3), silence(0.1))
    assert findings(*parts, num_characters=10)["ms_per_character"] == pytest.approx(80.0)
    assert findings(*parts, num_characters=10, speed=2.0)["ms_per_character"] == pytest.approx(160.0)
    assert "ms_per_character" not in findings(*parts, num_characters=0)


def test_level_peak_and_offset_are_those_of_the_tone() -> None:
    found = findings(tone(1.0, 0.5) + np.float32(0.1))
    assert found["peak"] == pytest.approx(0.6, abs=1e-3)
    assert found["dc_offset"] == pytest.approx(0.1, abs=1e-4)
    assert found["level_dbfs"] == pytest.approx(20 * math.log10(0.5 / math.sqrt(2)), abs=0.01)


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_flat_tops_are_clipped_and_single_peaks_are_not(dtype: type) -> None:
    full = 32767 if dtype is np.int16 else 1.0
    pcm = np.zeros(RATE, dtype)
    pcm[100:103] = full
    pcm[200:205] = -full
    pcm[300:302] = full
    assert inspect(pcm, RATE, rows(RATE), 0, 1.0)["clipped_share"] == pytest.approx(8 / RATE, abs=1e-6)


def test_a_jump_between_pieces_is_a_click() -> None:
    """60 samples are half a period: the tone goes on with the opposite sign, at its steepest or at its peak."""
    pcm = tone(0.1)
    cut = np.delete(pcm, slice(1230, 1290))  # from the crest into the trough
    assert findings(cut, chunks=rows(1230, len(cut) - 1230))["num_clicks"] == 1
    assert findings(cut, chunks=rows(1200, len(cut) - 1200))["num_clicks"] == 0
    assert findings(pcm, chunks=rows(*[100] * 24))["num_clicks"] == 0


def test_a_beginning_in_full_swing_after_silence_is_a_click() -> None:
    pcm = np.concatenate([silence(0.05), tone(0.1)[30:]])
    assert findings(pcm, chunks=rows(1200, len(pcm) - 1200))["num_clicks"] == 1


def test_pieces_of_noise_and_of_speechlike_bursts_join_without_clicks() -> None:
    noise = np.random.default_rng(1).normal(0, 0.1, RATE).astype(np.float32)
    burst = tone(1.0) * np.abs(np.sin(np.arange(RATE) * 2 * math.pi * 3 / RATE)).astype(np.float32)
    pulses = np.where(np.arange(RATE) % 80 == 0, 0.3, 0).astype(np.float32)  # a sharp step into every other piece
    for pcm in (noise, burst, pulses, silence(1.0)):
        assert findings(pcm, chunks=rows(*[160] * 150))["num_clicks"] == 0


def test_the_tail_is_compared_with_the_speech() -> None:
    fade = np.linspace(1, 0, RATE // 2, dtype=np.float32)
    assert findings(tone(1.0))["tail_db"] == pytest.approx(0.0, abs=0.1)
    assert findings(np.concatenate([tone(0.5), tone(0.5) * fade]))["tail_db"] < -30
    assert findings(tone(0.5), silence(0.1))["tail_db"] == -120.0


def test_a_header_that_is_played_is_found() -> None:
    header = np.frombuffer(b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0", np.int16)
    pcm = np.concatenate([(tone(0.1) * 32767).astype(np.int16), header, header])
    assert inspect(pcm, RATE, rows(len(pcm)), 10, 1.0)["headers_inside"] == 2


@pytest.mark.parametrize("size", [1, 2, 239, 240, 241])
def test_the_shortest_audio_has_findings_too(size: int) -> None:
    assert all(math.isfinite(value) for value in findings(np.full(size, 0.5, np.float32)).values())


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({}, None),
        ({"clipped_share": 0.02}, FailureKind.CLIPPED),
        ({"clipped_share": 0.01}, None),
        ({"ms_per_character": 14.9, "num_characters": 21.0}, FailureKind.SHORT),
        ({"ms_per_character": 14.9, "num_characters": 20.0}, None),
        ({"ms_per_character": 15.0, "num_characters": 99.0}, None),
    ],
)
def test_only_what_cannot_be_speech_is_a_failure(changes: dict[str, float], kind: FailureKind | None) -> None:
    found = failure({**GOOD, **changes})
    assert (found and found.kind) == kind


def test_silence_and_a_lone_click_are_silent() -> None:
    click = silence(1.0)
    click[5000] = 1.0
    for pcm in (silence(1.0), click):
        found = failure(findings(pcm))
        assert found is not None
        assert found.kind == FailureKind.SILENT


def test_letters_and_digits_are_spoken() -> None:
    assert num_speakable("Ab, 12! … ñ") == 5


def test_a_cell_without_findings_has_no_figures() -> None:
    failed = record(GOOD, outcome="silent")
    warmup = record(GOOD, phase="warmup")
    assert set(summarise([failed, warmup]).values()) == {None}


def test_a_cell_is_summarised_by_medians_and_counts() -> None:
    paces = [60.0, 61.0, 59.0, 60.0, 20.0]
    records = [record({**GOOD, "ms_per_character": pace}) for pace in paces]
    records.append(record({**GOOD, "num_clicks": 3.0, "tail_db": -3.0}))
    summary = summarise(records)
    assert (summary["ms_per_character"], summary["duration_outliers"]) == (60.0, 1.0)
    assert (summary["num_clicks"], summary["clicks_share"]) == (3.0, pytest.approx(1 / 6))
    assert summary["truncated_tail_share"] == pytest.approx(1 / 6)


def test_durations_that_all_agree_have_no_outliers() -> None:
    records = [record({**GOOD, "ms_per_character": pace}) for pace in [60.0] * 9 + [60.1, 66.0]]
    assert summarise(records)["duration_outliers"] == 0


def speaking(num: int = 10, **changes: float) -> list[RequestRecord]:
    return [record({**GOOD, **changes}, text=f"text {i}") for i in range(num)]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ms_per_character": 50.0}, "17% shorter"),
        ({"tail_db": -3.0}, "100% of its answers end in mid-sound, of the other's 0%"),
        ({"num_clicks": 1.0}, "click where pieces join"),
        ({"headers_inside": 1.0}, "WAV header"),
        ({"silence_share": 0.3}, "30% of its audio is silence"),
        ({"longest_silence_ms": 700.0}, "longest pause is 700 ms"),
    ],
)
def test_worse_audio_voids_a_speed_up(changes: dict[str, float], words: str) -> None:
    reasons = differs(speaking(), speaking(**changes))
    assert [words in reason for reason in reasons] == [True]
    assert [reason for reason in differs(speaking(**changes), speaking()) if "20% longer" not in reason] == []


def test_speech_at_half_its_rate_voids_a_speed_up() -> None:
    assert ["100% longer" in reason for reason in differs(speaking(), speaking(ms_per_character=120.0))] == [True]
    assert differs(speaking(), speaking(ms_per_character=70.0)) == []


def test_equal_audio_and_no_audio_void_nothing() -> None:
    assert differs(speaking(), speaking(ms_per_character=52.0)) == []
    assert differs(speaking(), []) == []


def test_one_bad_answer_voids_nothing() -> None:
    assert differs(speaking(3), [*speaking(2), record({**GOOD, "tail_db": 0.0})]) == []


def test_durations_are_compared_text_by_text_where_both_spoke_it() -> None:
    """b spoke other texts as well, slower ones: the text that both spoke tells."""
    a = [record({**GOOD, "ms_per_character": 60.0}, text="both")]
    b = [record({**GOOD, "ms_per_character": 40.0}, text="both")]
    b += [record({**GOOD, "ms_per_character": 90.0}, text=f"b {i}") for i in range(5)]
    assert ["shorter" in reason for reason in differs(a, b)] == [True]


def test_durations_of_different_texts_are_compared_by_character() -> None:
    a = [record({**GOOD, "ms_per_character": 60.0}, text="a")]
    b = [record({**GOOD, "ms_per_character": 40.0}, text="b")]
    assert ["33% shorter" in reason for reason in differs(a, b)] == [True]


def test_speech_that_is_understood_less_is_worse():
    clear = [record({**findings(tone(0.5)), "word_error_rate": 0.02})]
    mumbled = [record({**findings(tone(0.5)), "word_error_rate": 0.20})]

    assert differs(clear, mumbled) == ["a recogniser mistakes 20% of its words, 2% of the other's"]
    assert differs(mumbled, clear) == []
    assert differs([record(findings(tone(0.5)))], mumbled) == []
    assert summarise(mumbled)["word_error_rate"] == 0.20
