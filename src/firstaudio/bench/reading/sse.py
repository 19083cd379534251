"""Server-sent events with base64 audio in their JSON, understood while they arrive.

Lines end in LF, CR or CRLF, events in an empty line; comments and unknown fields are skipped. Audio of an event counts
from the piece that holds its characters on, not from the end of the event.

Source: the section "Server-sent events" of the HTML standard; the events are those of OpenAI's speech API.
"""

from __future__ import annotations

import json
import re

from firstaudio.bench.exchange import Failure, FailureKind, SpeakError
from firstaudio.bench.reading.jsonaudio import JsonAudio
from firstaudio.bench.reading.target_error import quote, said, target_error

DONE = b"[DONE]"
DELTA, DELTAS_DONE = "speech.audio.delta", "speech.audio.done"
_DATA = b"data:"
_TOKENS = re.compile(rb"[^\r\n]+|\r\n|\r|\n")


class SseEnvelope:
    """One stream of events, fed piece by piece.

    `feed` raises SpeakError for an event that tells of a failure and for data that is not what was expected.
    """

    def __init__(self, audio_field: str, error_field: str | None) -> None:
        self._audio_field, self._error_field = audio_field, error_field
        self._line = bytearray()
        self._after_cr = False
        self._head = b""  # of the body, for a sentence
        self._num_events = 0
        self._is_open = False  # deltas have come, their end has not
        self._begin_event()

    def feed(self, piece: bytes) -> bytes:
        """Audio bytes that became known."""
        self._head = self._head or piece
        if self._after_cr and piece.startswith(b"\n"):
            piece = piece[1:]
        elif not piece:
            return b""
        out = bytearray()
        for token in _TOKENS.findall(piece):
            if token in (b"\n", b"\r", b"\r\n"):
                self._end_line(out)
            else:
                self._in_line(token, out)
        self._after_cr = piece.endswith(b"\r")
        return bytes(out)

    def finish(self) -> Failure | None:
        """What is wrong with the stream as a whole. An event without its empty line counts if its JSON is whole."""
        try:
            self._end_line(bytearray())
            self._end_event()
        except SpeakError as error:
            if error.failure.kind is FailureKind.PROTOCOL and self._num_events:
                return Failure(FailureKind.TRUNCATED, "the answer ends in the middle of an event")
            return error.failure
        if self._head and not self._num_events:
            return _no_events(self._head, self._error_field)
        if self._is_open:
            return Failure(FailureKind.TRUNCATED, f"the events end without {DELTAS_DONE}: the answer was cut off")
        return None

    def _begin_event(self) -> None:
        self._name = b""
        self._data = bytearray()
        self._json = JsonAudio(self._audio_field)

    def _in_line(self, text: bytes, out: bytearray) -> None:
        before = len(self._line)
        self._line += text
        if self._line.startswith(_DATA):
            self._audio(bytes(self._line[max(before, len(_DATA)) :]), out)

    def _end_line(self, out: bytearray) -> None:
        line = bytes(self._line)
        self._line.clear()
        if not line:
            self._end_event()
        elif line.startswith(_DATA):
            self._data += line.removeprefix(_DATA) + b"\n"
            self._audio(b"\n", out)
        elif line.startswith(b"event:"):
            self._name = line.removeprefix(b"event:").strip()

    def _audio(self, text: bytes, out: bytearray) -> None:
        try:
            out += self._json.feed(text)
        except ValueError as error:
            where = f"field {self._audio_field!r} of an event is not base64 ({error})"
            raise SpeakError(FailureKind.PROTOCOL, f"{where}; state where the audio is") from error

    def _end_event(self) -> None:
        data, name = bytes(self._data).strip(), self._name
        self._begin_event()
        if not data:
            return
        if data == DONE:
            self._num_events, self._is_open = self._num_events + 1, False
            return
        document = _parsed(data)
        self._num_events += 1
        failure = target_error(document, self._error_field)
        if failure is None and name == b"error":
            failure = said(document)
        if failure:
            raise SpeakError(failure.kind, failure.message)
        self._note(document)

    def _note(self, document: object) -> None:
        kind = document.get("type") if isinstance(document, dict) else None
        self._is_open = (self._is_open or kind == DELTA) and kind != DELTAS_DONE


def _parsed(data: bytes) -> object:
    try:
        return json.loads(data)
    except ValueError as error:
        raise SpeakError(FailureKind.PROTOCOL, f"an event's data is not JSON: {quote(data)!r}") from error


def _no_events(head: bytes, error_field: str | None) -> Failure:
    """The body is something else: maybe an error as plain JSON."""
    try:
        failure = target_error(json.loads(head), error_field)
    except ValueError:
        failure = None
    message = f"expected server-sent events, the answer begins with {quote(head)!r}; try another delivery"
    return failure or Failure(FailureKind.WRONG_FORMAT, message)
