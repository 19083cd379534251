"""What the self test asks a server: JSON, speech as it arrives, speech as events."""

from __future__ import annotations

import http.client
import json
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from itertools import accumulate
from typing import Any
from urllib.parse import urlsplit

from firstaudio.clock import NS_PER_MS, NS_PER_S, now_ns
from firstaudio.errors import BenchError, ConfigError, NotReadyError, UnauthorizedError

POLL_S = 1.0
TIMEOUT_S = 120.0  # for one piece of an answer
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


class SelfTestClient:
    """Talks to one server.

    Args:
        url: Of the server.
        token: Its API key; None: it asks for none.
        run: What requests for speech are marked with, to be in no figure of clients; None: they are clients' own.
        sleep: Waits for so many seconds.

    Attributes:
        url: Of the server.

    Raises:
        ConfigError: The URL is none.
    """

    def __init__(
        self, url: str, token: str | None, run: str | None = None, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"--url {url} is no address of a server; give one such as http://127.0.0.1:8000")
        self.url, self._sleep = url.rstrip("/"), sleep
        self._parts, self._path = parts, parts.path.rstrip("/")
        self._headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        self._speech_headers = {"Cache-Control": "no-cache"} | ({RUN_HEADER: run} if run else {})

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """One JSON answer.

        Raises:
            NotReadyError: No server answers, or it is not ready.
            UnauthorizedError: It wants another key.
            BenchError: It refuses, or answers with something else.
        """
        with self._answer(method, path, body, self._headers) as answer:
            return _document(answer.read(), path)

    def benchmark(self, wish: dict[str, Any], say: Callable[[str], None]) -> dict[str, Any]:
        """Let the server benchmark itself, and wait for the end; Ctrl-C ends it. The run's card. Raises as `ask`."""
        begun, told = self.ask("POST", "/benchmarks/run", wish), ""
        try:
            while (state := self.ask("GET", "/benchmarks/status")["status"])["benchmark_id"] == begun["benchmark_id"]:
                line = f"{state['progress']:4.0%} {state['current_test'] or 'beginning'}"
                if line != told:
                    say(line)
                told = line
                self.pause(POLL_S)
        except KeyboardInterrupt:
            self.ask("POST", "/benchmarks/cancel")
            raise
        cards = self.ask("GET", "/benchmarks/runs?limit=1000")["runs"]
        found: list[dict[str, Any]] = [card for card in cards if card["id"] == begun["benchmark_id"]]
        if not found:
            raise BenchError(f"{self.url} no longer knows the run {begun['benchmark_id']}; raise schedule.keep there")
        return found[0]

    def pause(self, seconds: float) -> None:
        """Wait."""
        self._sleep(seconds)

    def listen(self, text: str) -> Heard:
        """Speak a text, and stamp what comes when. Raises as `ask`."""
        arrivals, pieces, sample_rate = [], [], 0
        with self._connection() as connection:
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
        with self._connection() as connection, self._spoken(connection, wish) as answer:
            request_id = answer.headers.get("X-Request-ID", "")
            return _told(_events(answer), request_id)

    @contextmanager
    def _answer(
        self, method: str, path: str, body: dict[str, Any] | None, headers: dict[str, str]
    ) -> Iterator[http.client.HTTPResponse]:
        with self._connection() as connection, self._asked(connection, method, path, body, headers) as answer:
            yield answer

    @contextmanager
    def _connection(self) -> Iterator[http.client.HTTPConnection]:
        """A fresh one, not through a proxy; what goes wrong with it is told in a sentence."""
        kind = http.client.HTTPSConnection if self._parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(str(self._parts.hostname), self._parts.port, timeout=TIMEOUT_S)
        try:
            yield connection
        except TimeoutError as error:
            raise NotReadyError(f"{self.url} did not answer within {TIMEOUT_S:g} s; look at its log") from error
        except http.client.HTTPException as error:
            raise BenchError(f"{self.url} broke its answer off ({error!r}); look at its log") from error
        except OSError as error:
            raise NotReadyError(f"no server answers at {self.url}; start it with `firstaudio serve`") from error
        finally:
            connection.close()

    def _spoken(self, connection: http.client.HTTPConnection, wish: dict[str, Any]) -> http.client.HTTPResponse:
        headers = self._headers | self._speech_headers
        return self._asked(connection, "POST", "/v1/audio/speech", wish, headers)

    def _asked(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: dict[str, Any] | None,
        headers: dict[str, str],
    ) -> http.client.HTTPResponse:
        data = None if body is None else json.dumps(body).encode()
        connection.request(method, self._path + path, data, headers)
        answer = connection.getresponse()
        if answer.status >= HTTPStatus.BAD_REQUEST:
            raise self._refusal(answer.status, answer.read(), path)
        return answer

    def _refusal(self, status: int, body: bytes, path: str) -> BenchError | NotReadyError | UnauthorizedError:
        try:
            message = str(json.loads(body)["error"]["message"])
        except (ValueError, KeyError, TypeError):
            message = f"status {status}, without a reason: is it a firstaudio server?"
        sentence = f"{self.url}{path} refuses: {message}"
        if status == HTTPStatus.UNAUTHORIZED:
            return UnauthorizedError(f"{sentence}; give its key with --token or in FIRSTAUDIO_BENCH_TOKEN")
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            return NotReadyError(sentence)
        return BenchError(sentence)


def _document(data: bytes, path: str) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise BenchError(f"the answer at {path} is no JSON object: is it a firstaudio server?")
    return found


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
            yield _document(text.removeprefix(EVENT_PREFIX).encode(), "/v1/audio/speech")


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
