"""How audio is put on the wire: as it is, or as server-sent events."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Sequence
from typing import Any, Protocol

from firstaudio.audio.chunk import WordMark
from firstaudio.errors import FirstaudioError
from firstaudio.server.problems import describe

OUTPUT_TOKEN_S = 0.02


class Framing(Protocol):
    """Wraps encoded audio for one response."""

    media_type: str

    def audio(self, encoded: bytes, words: Sequence[WordMark]) -> bytes:
        """Wire bytes of newly encoded audio; empty until there is audio to send."""
        ...

    def end(self, audio_s: float) -> bytes:
        """Wire bytes after the last audio of a complete utterance, `audio_s` seconds long."""
        ...

    def failure(self, error: FirstaudioError) -> bytes | None:
        """Wire bytes that tell of a failure after the first audio; None where only a broken connection can tell."""
        ...


class RawFraming:
    """The encoded audio and nothing else."""

    def __init__(self, media_type: str) -> None:
        self.media_type = media_type

    def audio(self, encoded: bytes, words: Sequence[WordMark]) -> bytes:  # noqa: ARG002 (raw audio carries no marks)
        """The audio itself."""
        return encoded

    def end(self, audio_s: float) -> bytes:  # noqa: ARG002 (raw audio states no usage)
        """Nothing."""
        return b""

    def failure(self, error: FirstaudioError) -> None:  # noqa: ARG002
        """None: a clean end would pass for a complete utterance."""
        return


class EventFraming:
    """Server-sent events as OpenAI names them, with word times and failures as further events.

    `usage` is a required part of OpenAI's last event, but no engine here counts tokens: `input_tokens` are the
    characters (Unicode code points) of the text, `output_tokens` the 20 ms frames of the audio, rounded up.

    Args:
        text: The original text.
        sample_rate: Of the word marks, in Hz.
        words: Whether to send word times.
    """

    media_type = "text/event-stream; charset=utf-8"

    def __init__(self, text: str, sample_rate: int, *, words: bool) -> None:
        self._text, self._sample_rate, self._words = text, sample_rate, words
        self._held: list[WordMark] = []

    def audio(self, encoded: bytes, words: Sequence[WordMark]) -> bytes:
        """The words that the audio brings, then the audio; words wait for audio to go with."""
        if self._words:
            self._held += words
        if not encoded:
            return b""
        # Base64 needs no escaping, and json.dumps would look for it in every byte.
        delta = b'data: {"type":"speech.audio.delta","audio":"' + base64.b64encode(encoded) + b'"}\n\n'
        return self._held_words() + delta

    def end(self, audio_s: float) -> bytes:
        """Words that are left, and the event that ends the utterance."""
        num_input, num_output = len(self._text), math.ceil(round(audio_s / OUTPUT_TOKEN_S, 6))
        usage = {"input_tokens": num_input, "output_tokens": num_output, "total_tokens": num_input + num_output}
        return self._held_words() + _event({"type": "speech.audio.done", "usage": usage})

    def failure(self, error: FirstaudioError) -> bytes:
        """The event that ends an utterance which is not complete."""
        return _event({"type": "speech.audio.error", **describe(error)})

    def _held_words(self) -> bytes:
        if not self._held:
            return b""
        words = [self._describe(mark) for mark in self._held]
        self._held = []
        return _event({"type": "speech.audio.words", "words": words})

    def _describe(self, mark: WordMark) -> dict[str, Any]:
        end = mark.end_sample
        return {
            "text": self._text[mark.start_char : mark.end_char],
            "start_char": mark.start_char,
            "end_char": mark.end_char,
            "start_s": round(mark.start_sample / self._sample_rate, 6),
            "end_s": None if end is None else round(end / self._sample_rate, 6),
        }


def _event(payload: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(payload, separators=(",", ":")).encode() + b"\n\n"
