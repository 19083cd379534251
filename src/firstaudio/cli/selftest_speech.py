"""What the self test hears of a server: speech as it arrives, speech as events."""

from __future__ import annotations

import http.client
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from firstaudio.cli.client import SPEECH_TIMEOUT_S, ServerClient, document
from firstaudio.clock import NS_PER_MS, NS_PER_S, now_ns
from firstaudio.errors import BenchError

SPEECH = "/v1/audio/speech"
READ_BYTES = 65_536
RUN_HEADER = "X-Firstaudio-Run"
SAMPLE_BYTES = 2
EVENT_PREFIX = "data: "


@dataclass(frozen=True, slots=True)
class Heard:
    """One streamed utterance, as its client saw it.

    Attributes:
        ttfa_ms: From the request's last byte sent to the first sample, in ms; None: no audio came.
        audible_ttfa_ms: To the piece with the first sample that can be heard, in ms; None: there is none.
        audio_s: Length of the audio, in seconds.
        rtf: From the request to its last byte, over `audio_s`; None without audio.
    """

    ttfa_ms: float | None
    audible_ttfa_ms: float | None
    audio_s: float
    rtf: float | None


@dataclass(frozen=True, slots=True)
class Told:
    """One utterance as events.

    Attributes:
        words: First and last character (exclusive) of each word that was spoken, in order.
        request_id: Of the request.
        num_audio_bytes: Length of the audio in base64.
    """

    words: tuple[tuple[int, int], ...]
    request_id: str
    num_audio_bytes: int


class SelfTestClient(ServerClient):
    """Talks to one server, and listens to it.

    Args:
        url: Of the server.
        token: Its API key; None: it asks for none.
        run: What requests for speech are marked with, to be in no figure of clients; None: they are clients' own.

    Raises:
        ConfigError: The URL is none, or the key cannot be sent.
    """

    def __init__(self, url: str, token: str | None, run: str | None = None) -> None:
        super().__init__(url, token)
        self._speech_headers = {"Cache-Control": "no-cache"} | ({RUN_HEADER: run} if run else {})

    def listen(self, text: str) -> Heard:
        """Speak a text, and stamp what comes when. Raises as `ask`."""
        arrivals, pieces, sample_rate = [], [], 0
        with self.connection(SPEECH_TIMEOUT_S) as connection:
            connection.connect()
            begun = now_ns()
            with self._spoken(connection, {"input": text, "response_format": "pcm"}) as answer:
                sample_rate = _sample_rate(answer)
                while piece := answer.read1(READ_BYTES):
                    arrivals.append(now_ns())
                    pieces.append(piece)
            ended = now_ns()
        return _heard(begun, ended, arrivals, pieces, sample_rate)

    def follow(self, text: str) -> Told:
        """Speak a text as events, with the words that they mark. Raises as `ask`."""
        wish = {"input": text, "response_format": "pcm", "stream_format": "sse", "word_timestamps": True}
        with self.connection(SPEECH_TIMEOUT_S) as connection, self._spoken(connection, wish) as answer:
            request_id = answer.headers.get("X-Request-ID", "")
            return _told(_events(answer), request_id)

    def _spoken(self, connection: http.client.HTTPConnection, wish: dict[str, Any]) -> http.client.HTTPResponse:
        return self.answer(connection, "POST", SPEECH, wish, self._speech_headers)


def _sample_rate(answer: http.client.HTTPResponse) -> int:
    told = answer.headers.get("X-Sample-Rate", "")
    if not told.isdecimal() or int(told) < 1:
        raise BenchError("the speech does not say its sample rate in X-Sample-Rate: is it a firstaudio server?")
    return int(told)


def _heard(begun: int, ended: int, arrivals: list[int], pieces: list[bytes], sample_rate: int) -> Heard:
    import numpy as np

    from firstaudio.audio.onset import find_onset

    ends = list(accumulate(map(len, pieces)))
    data = b"".join(pieces)
    pcm = np.frombuffer(data[: len(data) // SAMPLE_BYTES * SAMPLE_BYTES], np.int16)
    onset = find_onset(pcm, sample_rate)
    audio_s = len(pcm) / sample_rate

    def ms_of(sample: int | None) -> float | None:
        if sample is None or not len(pcm):
            return None
        return (arrivals[bisect_left(ends, (sample + 1) * SAMPLE_BYTES)] - begun) / NS_PER_MS

    rtf = (ended - begun) / NS_PER_S / audio_s if audio_s else None
    return Heard(ms_of(0), ms_of(onset), audio_s, rtf)


def _events(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    for line in lines:
        text = line.decode().strip()
        if text.startswith(EVENT_PREFIX):
            yield document(text.removeprefix(EVENT_PREFIX).encode(), SPEECH)


def _told(events: Iterable[dict[str, Any]], request_id: str) -> Told:
    words: list[tuple[int, int]] = []
    num_audio_bytes, is_complete = 0, False
    for event in events:
        match event["type"]:
            case "speech.audio.words":
                words += [(word["start_char"], word["end_char"]) for word in event["words"]]
            case "speech.audio.delta":
                num_audio_bytes += len(event["audio"])
            case "speech.audio.error":
                raise BenchError(f"the speech ended in the middle: {event['error']['message']}")
            case "speech.audio.done":
                is_complete = True
    if not is_complete:
        raise BenchError("the events of a speech ended without speech.audio.done; look at the server's log")
    return Told(tuple(words), request_id, num_audio_bytes)
