"""`POST /v1/audio/speech` on a real socket: what is sent, when, and how it ends."""

import base64
import io
import json
import wave
from typing import Any

import numpy as np
import psutil
import pytest

from firstaudio.audio.decode import decode
from firstaudio.config import SyntheticConfig

TEXT = "Hello world! This is *speech*, and it has some words."
SLOW = SyntheticConfig(ttfa_ms=1.0, rtf=0.05)
FORMATS = ["mp3", "opus", "aac", "flac", "wav", "pcm"]


@pytest.mark.parametrize("name", FORMATS)
def test_streamed_and_whole_audio_are_the_same(server: Any, name: str):
    server.speak(input=TEXT)  # what is learned of a voice from its first words may cut the text otherwise
    streamed = server.speak(input=TEXT, response_format=name)
    whole = server.speak(input=TEXT, response_format=name, stream=False)
    assert (streamed.status, whole.status) == (200, 200)
    assert streamed.headers["transfer-encoding"] == "chunked"
    assert whole.headers["content-length"] == str(len(whole.body))
    assert streamed.headers["content-type"] == whole.headers["content-type"]
    expected, actual = decode(whole.body, name)[0], decode(streamed.body, name)[0]
    # Only the whole mp3 can say how much padding its last frame holds.
    np.testing.assert_array_equal(expected, actual[: len(expected)] if name == "mp3" else actual)


def test_the_format_is_mp3_unless_given(server: Any):
    assert server.speak().headers["content-type"] == "audio/mpeg"


def test_a_streamed_wav_has_44_bytes_of_header_with_sizes_unknown(server: Any):
    wav, pcm = server.speak(response_format="wav").body, server.speak(response_format="pcm").body
    assert wav[4:8] == wav[40:44] == b"\xff\xff\xff\xff"
    assert wav[44:] == pcm


def test_a_whole_wav_states_its_true_size(server: Any):
    body = server.speak(response_format="wav", stream=False).body
    with wave.open(io.BytesIO(body)) as file:
        assert file.getnframes() * 2 == len(body) - 44
    assert int.from_bytes(body[4:8], "little") == len(body) - 8


def test_http_1_0_gets_the_whole_audio_with_its_length(server: Any, tools: Any):
    with server.ask("1.0", input=TEXT, response_format="wav") as connection:
        head, _, body = tools.read_all(connection).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert b"transfer-encoding" not in head.lower()
    assert f"content-length: {len(body)}\r\n".encode() in head + b"\r\n"
    assert body == server.speak(input=TEXT, response_format="wav", stream=False).body


def test_http_1_0_cannot_carry_events(server: Any, tools: Any):
    with server.ask("1.0", model="synthetic", stream_format="sse") as connection:
        head, _, body = tools.read_all(connection).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    error = json.loads(body)["error"]
    assert error["param"] == "stream_format"
    assert "proxy_http_version 1.1;" in error["message"]


def test_the_short_names_of_the_old_server_work(server: Any):
    body = json.dumps({"text": "Hello world!", "lang": "en-us", "format": "pcm", "stream": True}).encode()
    old = server.request("POST", "/v1/audio/speech", body, content_type="application/json")
    assert old.body == server.speak(response_format="pcm").body


def test_headers_say_who_speaks_and_where_the_time_went(server: Any):
    headers = server.speak(response_format="pcm").headers
    assert (headers["x-engine"], headers["x-voice"], headers["x-language"]) == ("synthetic", "alloy", "en-us")
    assert headers["x-sample-rate"] == "24000"
    names = [part.partition(";")[0] for part in headers["server-timing"].split(", ")]
    expected = ["queue", "text_processing", "phonemize", "model_inference", "audio_conversion", "chunk_delivery"]
    assert names == [*expected, "ttfa"]


def test_whole_segments_can_be_asked_for_and_are_said(server: Any):
    windowed, whole = (server.speak(response_format="pcm", decode=decode) for decode in ("windowed", "whole"))
    assert windowed.body == whole.body
    assert (windowed.headers["x-decode"], whole.headers["x-decode"]) == (None, "whole")


def test_audio_is_never_compressed(server: Any):
    reply = server.request(
        "POST", "/v1/audio/speech", b'{"input":"Hi","response_format":"pcm"}', accept_encoding="gzip, br"
    )
    assert reply.headers["content-encoding"] is None


def test_instructions_are_named_as_ignored(server: Any):
    assert server.speak(instructions="Whisper.").headers["x-ignored-fields"] == "instructions"


def test_speed_makes_the_speech_shorter(server: Any):
    natural, fast = (server.speak(input=TEXT, response_format="pcm", speed=speed).body for speed in (1.0, 2.0))
    assert len(fast) == pytest.approx(len(natural) / 2, rel=0.2)


@pytest.mark.parametrize("name", ["pcm", "mp3", "wav"])
def test_events_carry_the_same_audio(server: Any, name: str):
    reply = server.speak(input=TEXT, response_format=name, stream_format="sse")
    assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
    *deltas, done = reply.events
    assert {event["type"] for event in deltas} == {"speech.audio.delta"}
    audio = b"".join(base64.b64decode(event["audio"]) for event in deltas)
    assert audio == server.speak(input=TEXT, response_format=name).body
    assert done["type"] == "speech.audio.done"
    assert done["usage"]["input_tokens"] == len(TEXT)
    assert done["usage"]["total_tokens"] == done["usage"]["input_tokens"] + done["usage"]["output_tokens"]


def test_tts_1_answers_sse_with_raw_audio_and_says_so(server: Any):
    reply = server.speak(model="tts-1", stream_format="sse")
    assert reply.headers["content-type"] == "audio/mpeg"
    assert reply.headers["x-ignored-fields"] == "stream_format"


def test_word_times_are_in_the_original_text_and_in_order(server: Any):
    reply = server.speak(input=TEXT, response_format="pcm", stream_format="sse", word_timestamps=True)
    words = [word for event in reply.events if event["type"] == "speech.audio.words" for word in event["words"]]
    assert [word["text"] for word in words] == [TEXT[word["start_char"] : word["end_char"]] for word in words]
    assert "speech" in " ".join(word["text"] for word in words)
    starts = [word["start_s"] for word in words]
    assert starts == sorted(starts)
    assert all(word["start_s"] <= word["end_s"] for word in words)


def test_a_text_without_anything_to_say_is_refused(server: Any):
    reply = server.speak(input="\u200b\u200b")
    assert (reply.status, reply.error["code"]) == (400, "empty_input")


@pytest.mark.parametrize("delivery", [{}, {"stream": False}, {"stream_format": "sse"}])
def test_a_failure_before_the_first_audio_is_a_500(tools: Any, delivery: dict[str, Any]):
    failing = SyntheticConfig(ttfa_ms=0.0, rtf=0.0, failure_rate=1.0)
    with tools.run(tools.settings(synthetic=failing)) as broken:
        reply = broken.speak(**delivery)
        assert (reply.status, reply.error["code"], reply.error["type"]) == (500, "engine_error", "server_error")


def test_a_failure_after_the_first_audio_breaks_the_connection(tools: Any):
    failing = SyntheticConfig(ttfa_ms=0.0, rtf=0.0, failure_rate=1.0, fail_at_step=5)
    with tools.run(tools.settings(synthetic=failing)) as broken, broken.ask(response_format="pcm") as connection:
        data = tools.read_all(connection)
    assert data.startswith(b"HTTP/1.1 200 ")
    assert not data.endswith(b"0\r\n\r\n")


def test_a_failure_after_the_first_audio_is_the_last_event(tools: Any):
    failing = SyntheticConfig(ttfa_ms=0.0, rtf=0.0, failure_rate=1.0, fail_at_step=5)
    with tools.run(tools.settings(synthetic=failing)) as broken:
        events = broken.speak(response_format="pcm", stream_format="sse").events
    assert [event["type"] for event in events[:-1]] == ["speech.audio.delta"] * (len(events) - 1)
    assert (events[-1]["type"], events[-1]["error"]["code"]) == ("speech.audio.error", "engine_error")


@pytest.mark.parametrize("delivery", [{}, {"stream": False}, {"stream_format": "sse"}])
def test_a_client_that_leaves_ends_its_stream(tools: Any, delivery: dict[str, Any]):
    with tools.run(tools.settings(synthetic=SLOW)) as running:
        synthesizer = running.service.synthesizer
        connection = running.ask(input="word " * 2_000, response_format="pcm", **delivery)
        tools.eventually(lambda: synthesizer.num_streams == 1)
        connection.close()
        tools.eventually(lambda: synthesizer.num_streams == 0)
        assert running.speak().status == 200


def test_a_client_that_leaves_before_the_first_audio_ends_its_stream(tools: Any):
    waiting = SyntheticConfig(ttfa_ms=300.0, rtf=0.0)
    with tools.run(tools.settings(synthetic=waiting)) as running:
        connection = running.ask()
        tools.eventually(lambda: running.service.synthesizer.num_streams == 1)
        connection.close()
        tools.eventually(lambda: running.service.synthesizer.num_streams == 0)


def test_a_slow_reader_parks_its_stream(tools: Any):
    with (
        tools.run(tools.settings()) as running,
        running.ask(input="word " * 9_000, response_format="pcm") as slow,
    ):
        tools.read_until(slow, b"\r\n\r\n")
        statistics = running.service.synthesizer.statistics
        tools.eventually(lambda: statistics()["synthetic"].num_parked == 1)
        assert running.service.synthesizer.num_streams == 1


def test_a_hundred_clients_that_leave_at_any_point_leave_nothing_behind(tools: Any):
    process = psutil.Process()

    def leave(running: Any, number: int) -> None:
        for index in range(number):
            whole = {"stream": False} if index % 5 == 0 else {}
            connection = running.ask(input="word " * 100, response_format=FORMATS[index % 6], **whole)
            if index % 3 and not whole:
                connection.recv(1 + 997 * index)
            connection.close()
        tools.eventually(lambda: running.service.synthesizer.num_streams == 0)
        tools.eventually(lambda: not running.server.server_state.tasks)

    with tools.run(tools.settings(synthetic=SLOW)) as running:
        leave(running, 60)  # every thread of every pool is there now
        files, threads = process.num_fds(), process.num_threads()
        leave(running, 100)
        tools.eventually(lambda: process.num_threads() <= threads and process.num_fds() <= files)
        assert running.speak().status == 200


def test_requests_on_one_connection_are_answered_in_order(server: Any, tools: Any):
    request = (
        b'POST /v1/audio/speech HTTP/1.1\r\nHost: x\r\nContent-Length: 38\r\n\r\n{"input":"Hi","response_format":"pcm"}'
    )
    with server.connect() as connection:
        connection.sendall(request + request)
        both = tools.read_until(connection, b"0\r\n\r\n")
        while both.count(b"0\r\n\r\n") < 2:
            both += connection.recv(65_536)
    assert both.count(b"HTTP/1.1 200 OK") == 2


def test_an_answer_says_whether_its_beginning_was_kept(server: Any):
    text = "Nobody has said this sentence here before, and now somebody says it twice."
    warmth = [server.speak(input=text, response_format="pcm").headers["x-warmth"] for _ in range(2)]

    assert warmth == ["warm", "cached"]
