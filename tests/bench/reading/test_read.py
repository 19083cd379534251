import base64
import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstaudio.audio.encode import make_encoder, wav_header
from firstaudio.bench.exchange import Exchange, Failure, FailureKind, PcmFormat
from firstaudio.bench.load.taken import Taken
from firstaudio.bench.reading.read import Heard, read, to_record
from firstaudio.bench.record import OK, ChunkRow, RequestRecord
from firstaudio.bench.spec import Reading, TargetSpec
from firstaudio.bench.utterance import Utterance
from firstaudio.bench.workload import Cell
from firstaudio.clock import NS_PER_MS

RATE = 8000  # 8 samples are a millisecond
SENT = 5 * NS_PER_MS
TEXT = Utterance("Good morning.")
RAW = Reading()


def speech(duration_ms: int = 1000, lead_ms: int = 0) -> np.ndarray:
    """A tone that begins abruptly and fades out, after silence."""
    time = np.arange(8 * (duration_ms - lead_ms))
    tone = 3000 * np.cos(time * 0.3) * np.linspace(1, 0, len(time))
    return np.concatenate([np.zeros(8 * lead_ms), tone]).astype(np.int16)


def exchange(pieces: dict[int, bytes], **fields: object) -> Exchange:
    """Pieces by arrival in ms."""
    arrivals = [at * NS_PER_MS for at in pieces]
    return Exchange(
        sent_ns=SENT,
        last_byte_ns=max(arrivals, default=SENT),
        arrivals_ns=arrivals,
        pieces=list(pieces.values()),
        **fields,  # type: ignore[arg-type]
    )


def ms(value: int | None) -> float | None:
    return None if value is None else value / NS_PER_MS


def test_the_first_sample_is_what_follows_the_header() -> None:
    pcm = speech(40)
    heard = read(exchange({10: wav_header(RATE), 20: pcm[:160].tobytes(), 30: pcm[160:].tobytes()}), RAW, TEXT)
    assert (heard.outcome, heard.container, heard.sample_rate) == (OK, "wav", RATE)
    assert (ms(heard.first_byte_ns), ms(heard.first_sample_ns)) == (10, 20)
    assert heard.chunks == (
        ChunkRow(10 * NS_PER_MS, 0, 0),
        ChunkRow(20 * NS_PER_MS, 320, 160),
        ChunkRow(30 * NS_PER_MS, 320, 160),
    )
    assert heard.pcm is not None
    assert np.array_equal(heard.pcm, pcm)


@pytest.mark.parametrize(
    ("lead_ms", "second_at_ms", "audible_ms"),
    [
        (0, 90, 10),  # heard at once
        (50, 90, 60),  # after 50 ms of silence have been played
        (100, 400, 400),  # the very first sample of the second piece
        (150, 90, 160),  # in the second piece, which is there long before it is played
        (150, 400, 400),  # in the second piece, which comes late
    ],
)
def test_audible_is_when_the_onset_is_played_and_has_arrived(lead_ms: int, second_at_ms: int, audible_ms: int) -> None:
    data = speech(1000, lead_ms).tobytes()
    heard = read(exchange({10: wav_header(RATE) + data[:1600], second_at_ms: data[1600:]}), RAW, TEXT)
    assert (heard.onset_sample, ms(heard.audible_ns)) == (8 * lead_ms, audible_ms)


def test_the_first_sample_of_a_json_answer_is_in_the_piece_that_holds_it() -> None:
    audio = wav_header(RATE) + speech().tobytes()
    body = json.dumps({"success": True, "audio_data": base64.b64encode(audio).decode()}).encode()
    half = len(body) // 2
    reading = Reading("json", "audio_data", "error")
    heard = read(exchange({10: body[:30], 20: body[30:half], 80: body[half:]}), reading, TEXT)
    assert (heard.outcome, ms(heard.first_byte_ns), ms(heard.first_sample_ns)) == (OK, 10, 20)


def test_an_empty_piece_is_not_the_first_byte() -> None:
    heard = read(exchange({10: b"", 20: wav_header(RATE), 30: speech().tobytes()}), RAW, TEXT)
    assert (ms(heard.first_byte_ns), ms(heard.first_sample_ns)) == (20, 30)


def wav(pcm: np.ndarray, num_bytes: int | None = None) -> bytes:
    return wav_header(RATE, num_bytes) + pcm.tobytes()


@pytest.mark.parametrize(
    ("body", "reading", "kind", "words"),
    [
        (b"", RAW, FailureKind.EMPTY, "no audio"),
        (wav_header(RATE), RAW, FailureKind.EMPTY, "no samples"),
        (wav_header(RATE)[:30], RAW, FailureKind.TRUNCATED, "before its audio begins"),
        (wav(speech(), 99999), RAW, FailureKind.TRUNCATED, "promises 99999"),
        (wav(np.zeros(8000, np.int16)), RAW, FailureKind.SILENT, "1.00 s"),
        (wav(np.repeat(speech(), 4).clip(-1, 1) * np.int16(32767)), RAW, FailureKind.CLIPPED, "clipped"),
        (b"<html>busy</html>", RAW, FailureKind.WRONG_FORMAT, "<html>busy"),
        (b'{"error": {"message": "no model"}}', RAW, FailureKind.TARGET_ERROR, "no model"),
        (b'{"hello": 1}', RAW, FailureKind.WRONG_FORMAT, "hello"),
        (wav(speech()), Reading(container="mp3"), FailureKind.WRONG_FORMAT, "asked for mp3, got wav"),
        (speech().tobytes(), Reading(container="pcm"), FailureKind.NO_SAMPLE_RATE, "nothing states"),
        (b"{]", Reading("json"), FailureKind.PROTOCOL, "not a JSON document"),
        (b'{"success": false, "error": "oom"}', Reading("json"), FailureKind.TARGET_ERROR, "oom"),
    ],
)
def test_what_is_no_speech_is_a_failure_in_one_sentence(
    body: bytes, reading: Reading, kind: FailureKind, words: str
) -> None:
    heard = read(exchange({10: body}), reading, TEXT)
    assert (heard.outcome, words in heard.message, heard.message.count("\n")) == (kind, True, 0)


def test_a_text_of_which_nearly_nothing_is_spoken_is_short() -> None:
    answer = exchange({10: wav(speech(300))})
    assert read(answer, RAW, Utterance("a" * 30)).outcome == FailureKind.SHORT
    assert read(answer, RAW, Utterance("a" * 30, speed=4.0)).outcome == OK
    assert read(answer, RAW, Utterance("a" * 15)).outcome == OK


def test_the_failure_of_the_exchange_wins_and_what_came_before_it_is_read() -> None:
    cut = Failure(FailureKind.DISCONNECTED, "gone in the middle of the body")
    heard = read(exchange({10: wav(speech(40), 99999)}, failure=cut, status=200), RAW, TEXT)
    assert (heard.outcome, heard.message, heard.chunks[0].num_samples) == (cut.kind, cut.message, 320)


def test_the_body_of_a_refusal_is_no_audio() -> None:
    refused = Failure(FailureKind.REFUSED, "no room")
    heard = read(exchange({10: speech().tobytes()}, failure=refused, status=429), Reading(sample_rate=RATE), TEXT)
    assert (heard.outcome, heard.first_sample_ns, heard.chunks) == ("refused", None, (ChunkRow(10_000_000, 0, 0),))


@pytest.mark.parametrize(
    ("stated", "users", "expected"),
    [
        (PcmFormat(RATE), None, (OK, RATE)),
        (None, RATE, (OK, RATE)),
        (PcmFormat(RATE), RATE, (OK, RATE)),
        (PcmFormat(16000), RATE, (FailureKind.NO_SAMPLE_RATE, None)),
        (None, None, (FailureKind.NO_SAMPLE_RATE, None)),
    ],
)
def test_the_rate_of_samples_is_stated_and_not_contradicted(
    stated: PcmFormat | None, users: int | None, expected: tuple[str, int | None]
) -> None:
    answer = exchange({10: speech().tobytes()}, stated=stated)
    heard = read(answer, Reading(container="pcm", sample_rate=users), TEXT)
    assert (heard.outcome, heard.sample_rate) == expected


def test_samples_without_a_stated_container_are_told_by_their_stated_format() -> None:
    heard = read(exchange({10: speech().tobytes()}, stated=PcmFormat(RATE)), RAW, TEXT)
    assert (heard.outcome, heard.container) == (OK, "pcm")


def test_a_rate_that_the_headers_state_does_not_make_a_wav_into_samples() -> None:
    heard = read(exchange({10: wav(speech())}, stated=PcmFormat(16000)), RAW, TEXT)
    assert (heard.container, heard.sample_rate) == ("wav", RATE)


@pytest.mark.parametrize("name", ["mp3", "opus", "aac", "flac", "wav"])
@settings(max_examples=10, deadline=None)
@given(places=st.lists(st.integers(0, 40000), max_size=20))
def test_events_come_in_order_whatever_the_pieces(name: str, places: list[int]) -> None:
    """first byte <= first sample <= every sample <= last byte, and audible after the first sample."""
    encoder = make_encoder(name, RATE)
    body = encoder.push(speech(500)) + encoder.finish()
    edges = [0, *sorted(place % (len(body) + 1) for place in places), len(body)]
    pieces = {10 * i: body[a:b] for i, (a, b) in enumerate(itertools.pairwise(edges), 1)}
    answer = exchange(pieces)
    heard = read(answer, RAW, TEXT)
    assert heard.outcome == OK
    assert heard.first_byte_ns is not None
    assert heard.first_sample_ns is not None
    assert heard.audible_ns is not None
    with_samples = [chunk.arrival_ns for chunk in heard.chunks if chunk.num_samples]
    assert heard.first_byte_ns <= heard.first_sample_ns <= with_samples[0] <= with_samples[-1] <= answer.last_byte_ns
    assert heard.audible_ns >= heard.first_sample_ns


@settings(deadline=None)
@given(
    st.lists(st.binary(max_size=60), max_size=5),
    st.sampled_from(["raw", "sse", "json", "messages"]),
    st.sampled_from([None, "pcm", "wav", "mp3"]),
)
def test_no_answer_raises(pieces: list[bytes], envelope, container: str | None) -> None:
    heard = read(exchange(dict(enumerate(pieces, 1))), Reading(envelope, container=container, sample_rate=RATE), TEXT)
    assert heard.outcome == OK or heard.message
    assert len(heard.chunks) == len(pieces)


def test_the_record_holds_what_was_sent_what_came_and_what_was_heard() -> None:
    answer = exchange({10: wav(speech())}, status=200, headers={"server-timing": "queue;dur=2"})
    answer = replace(answer, scheduled_ns=1, dispatched_ns=2, connected_ns=3, headers_ns=6)
    utterance = Utterance("Good morning.", "short", voice="v", speed=1.5, language="en")
    cell = Cell("c=1", TargetSpec("openai"))
    record, heard = to_record(Taken(utterance, answer, "measured", 7, 9), cell, RAW)
    assert (record.cell, record.index, record.client, record.phase, record.label) == ("c=1", 9, 7, "measured", "warm")
    assert (record.text, record.text_class, record.voice, record.speed) == ("Good morning.", "short", "v", 1.5)
    assert (record.scheduled_ns, record.dispatched_ns, record.connected_ns, record.headers_ns) == (1, 2, 3, 6)
    assert (record.sent_ns, record.last_byte_ns, record.status) == (SENT, 10 * NS_PER_MS, 200)
    assert (record.server_timing_ms, record.audio_s, record.ok) == ({"queue": 2.0}, 1.0, True)
    assert isinstance(heard, Heard)
    assert RequestRecord.from_json(json.loads(json.dumps(record.to_json()))) == record


def test_an_endless_answer_is_not_looked_into() -> None:
    endless = Failure(FailureKind.ENDLESS, "no end")
    heard = read(exchange({10: wav_header(RATE) + speech().tobytes()}, failure=endless), RAW, TEXT)
    assert (heard.outcome, ms(heard.first_byte_ns), heard.pcm) == ("endless", 10, None)


def test_an_error_behind_the_audio_is_the_targets_own_failure() -> None:
    pieces = {10: wav_header(RATE) + speech().tobytes(), 20: b'{"error": "out of memory"}'}
    heard = read(exchange(pieces), RAW, TEXT)
    assert heard.outcome == FailureKind.TARGET_ERROR
    assert "out of memory" in heard.message
