"""How a chunk lies on the wire, for each way in which HTTP servers answer."""

from __future__ import annotations

import base64
import struct
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from firstaudio.bench.reference.faults import Fault
from firstaudio.bench.reference.http import JSON, LAST_CHUNK, HttpConnection, as_json, chunk, error_body, head, response
from firstaudio.bench.reference.plan import Plan
from firstaudio.bench.reference.sound import sound
from firstaudio.bench.reference.stage import Row, stages_ms
from firstaudio.clock import now_ns

UNKNOWN = 0xFFFFFFFF
FAILS = "the reference server fails here, as stated"
CONTENT_TYPES = {"wav": "audio/wav", "pcm": "audio/pcm;rate={rate}"}


def wav_header(sample_rate: int, num_samples: int | None) -> bytes:
    """The 44 bytes; None: the length is not known yet."""
    size = UNKNOWN if num_samples is None else num_samples * 2
    riff = UNKNOWN if num_samples is None else size + 36
    fmt = struct.pack("<IHHIIHH", 16, 1, 1, sample_rate, sample_rate * 2, 2, 16)
    return b"RIFF" + struct.pack("<I", riff) + b"WAVEfmt " + fmt + b"data" + struct.pack("<I", size)


@dataclass(slots=True)
class Answer:
    """What every way of answering needs.

    Attributes:
        container: "wav" or "pcm".
    """

    connection: HttpConnection
    plan: Plan
    fault: Fault
    row: Row
    container: str = "wav"

    @property
    def rate(self) -> int:
        """In Hz."""
        return self.plan.figures.sample_rate

    @property
    def content_type(self) -> str:
        """True, unless the fault is that it is not."""
        return self.fault.content_type or CONTENT_TYPES[self.container].format(rate=self.rate)

    def audio(self, index: int) -> bytes:
        """A chunk of audio, the first one with its container's header."""
        samples = self.samples(index)
        return self.audio_header() + samples if index == 0 else samples

    def samples(self, index: int) -> bytes:
        """A chunk of bare audio."""
        begin, end = self.plan.bounds(index)
        return sound(self.rate, self.row.voice, self.fault.sound).part(begin, end, self.plan.num_samples)

    def audio_header(self) -> bytes:
        """Of a WAV; other containers have none."""
        known = self.plan.whole or self.fault.states_length
        return wav_header(self.rate, self.plan.num_samples if known else None) if self.container == "wav" else b""

    def headers(self, due_ns: int | None) -> dict[str, str]:
        """What the answer says of itself; `due_ns` None: its audio is not yet due."""
        assert self.row.started_ns is not None
        stages = stages_ms(self.row, due_ns or self.row.started_ns)
        shown = [f"{name};dur={ms:.3f}" for name, ms in stages.items() if due_ns or name == "queue"]
        rate = {"X-Sample-Rate": str(self.rate)} if self.fault.states_rate and self.container == "pcm" else {}
        return {"X-Request-ID": self.row.request_id, "Server-Timing": ", ".join(shown), **rate}


class _HttpSink:
    """One answer over HTTP."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._out = answer.connection.outlet
        self._begun = False

    @property
    def full(self) -> bool:
        """The client does not read."""
        return self._out.full

    def begin(self) -> None:
        """Nothing leaves before the first audio."""

    def write(self, data: bytes, is_last: bool) -> None:
        """To the kernel; the last piece also ends the response."""
        self._begun = True
        self._out.write(data)
        if is_last:
            self._answer.connection.done()

    def _fail(self) -> None:
        headers = {"X-Request-ID": self._answer.row.request_id}
        self._answer.connection.respond(500, JSON, error_body(FAILS), headers)

    def _leave(self) -> None:
        """In the middle of a body: hang up, or never write again."""
        if self._answer.fault.breaks == "disconnect":
            self._out.abort()


class _AtOnce(_HttpSink, ABC):
    """A response with its length, when all audio is there."""

    def render(self, index: int, is_last: bool, due_ns: int) -> bytes:  # noqa: ARG002 - there is only one
        """All of it."""
        return self._response(self._answer.audio(0), due_ns)

    def break_off(self) -> None:
        """Half a WAV, half a body, or none."""
        breaks, whole = self._answer.fault.breaks, self._answer.audio(0)
        if breaks == "end":
            self.write(self._response(whole[: len(whole) // 4 * 2], now_ns()), is_last=True)
        elif breaks in ("disconnect", "hang"):
            data = self._response(whole, now_ns())
            self.write(data[: len(data) // 2], is_last=False)
            self._leave()
        else:
            self._fail()

    @abstractmethod
    def _response(self, audio: bytes, due_ns: int) -> bytes:
        """Headers and body."""


class Whole(_AtOnce):
    """The body is the audio."""

    def _response(self, audio: bytes, due_ns: int) -> bytes:
        return response(200, self._answer.content_type, audio, self._answer.headers(due_ns))


class Json(_AtOnce):
    """One document with a base64 WAV, as torch-inference's; failures come as 200."""

    def _response(self, audio: bytes, due_ns: int) -> bytes:
        answer = self._answer
        document = {
            "success": True,
            "audio_data": base64.b64encode(audio).decode(),
            "duration": answer.plan.audio_s,
            "sample_rate": answer.rate,
            "processing_time": stages_ms(answer.row, due_ns)["model_inference"] / 1000,
            "error": None,
        }
        return response(200, JSON, as_json(document), answer.headers(due_ns))

    def _fail(self) -> None:
        said = {"success": False, "audio_data": None, "error": FAILS}
        self._answer.connection.respond(200, JSON, as_json(said), {"X-Request-ID": self._answer.row.request_id})


class _InPieces(_HttpSink):
    """A response without a length, as the audio is made."""

    def break_off(self) -> None:
        """After some audio, or after none if there would be one chunk only."""
        breaks = self._answer.fault.breaks
        if breaks in (None, "error", "refuse"):
            self._fail()
            return
        if not self._begun:
            self.write(self._head(None), is_last=False)
        if breaks == "end":
            self.write(LAST_CHUNK, is_last=True)
        else:
            self._leave()

    def _head(self, due_ns: int | None) -> bytes:
        headers = {**self._answer.headers(due_ns), "Transfer-Encoding": "chunked"}
        return head(200, self._content_type(), headers)

    def _content_type(self) -> str:
        return self._answer.content_type


class Streamed(_InPieces):
    """The body is the audio, in chunks as they are made."""

    def begin(self) -> None:
        """Only for a server that shows its headers early."""
        if self._answer.plan.figures.early_header:
            self._begun = True
            self._out.write(self._head(None) + chunk(self._answer.audio_header()))

    def render(self, index: int, is_last: bool, due_ns: int) -> bytes:
        """An HTTP chunk per chunk; the end of the body goes with the last one."""
        audio = self._answer.samples(index) if self._begun else self._answer.audio(index)
        return (b"" if index or self._begun else self._head(due_ns)) + chunk(audio) + (LAST_CHUNK if is_last else b"")


class Events(_InPieces):
    """Server-sent events as OpenAI's."""

    def render(self, index: int, is_last: bool, due_ns: int) -> bytes:
        """An event per chunk; "done" goes with the last one."""
        audio = base64.b64encode(self._answer.audio(index)).decode()
        data = chunk(_event({"type": "speech.audio.delta", "audio": audio}))
        return (b"" if index else self._head(due_ns)) + data + (self._done() if is_last else b"")

    def _content_type(self) -> str:
        return self._answer.fault.content_type or "text/event-stream"

    def _done(self) -> bytes:
        tokens = self._answer.row.num_chars // 4 + 1
        usage = {"input_tokens": tokens, "output_tokens": tokens, "total_tokens": 2 * tokens}
        return chunk(_event({"type": "speech.audio.done", "usage": usage})) + LAST_CHUNK

    def _fail(self) -> None:
        if not self._begun:
            return super()._fail()
        said = {"type": "speech.audio.error", "error": {"message": FAILS}}
        return self.write(chunk(_event(said)) + LAST_CHUNK, is_last=True)


def _event(document: Mapping[str, object]) -> bytes:
    return b"data: " + as_json(document) + b"\n\n"
