"""What happened to one utterance: a timestamp at every door, in nanoseconds of `clock.now_ns`.

A trace is a leaf that everyone may write. Stage times are sums over the utterance; `first_audio_stages`
keeps the sums at the moment when the first audio left, so its parts explain TTFA.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, get_args

from firstaudio.clock import NS_PER_MS, NS_PER_S, Clock, now_ns

Stage = Literal["queue", "text_processing", "phonemize", "model_inference", "audio_conversion", "chunk_delivery"]
Outcome = Literal["completed", "cancelled", "failed", "refused"]
Warmth = Literal["cold", "warm", "cached"]
Origin = Literal["client", "benchmark", "tuner", "warmup"]
TextClass = Literal["short", "medium", "long", "complex"]
MAX_SPANS = 512
STAGES: tuple[Stage, ...] = get_args(Stage)


def _no_stages() -> dict[Stage, int]:
    return dict.fromkeys(STAGES, 0)


@dataclass(slots=True)
class Trace:
    """Times and counts of one utterance.

    Attributes:
        runtime: What executed the engine's steps, as the engine calls it ("openvino-cpu-bf16"), in order of use and
            joined by commas; empty where the engine has nothing to tell.
        decode: "windowed" or "whole", as it really was, joined likewise; empty where the engine has no windows.
        text_class: Short, medium, long or complex; empty before the text has been looked at.
        delivery: How the audio is to leave: "audio", "sse", "whole"; empty where nothing is to be sent.
        warmth: Of what the first audio needs: the first chunk, or all of a "whole" delivery. "cached": all of that was
            kept from earlier; "cold": the engine had to load something for it, or had never spoken. Empty where the
            request was refused.
        origin: Who asked: a client, a benchmark of our own, the tuner, the warm-up.
        run: Id of the benchmark that asked; empty for others.
        arm: Which arm of the tuner's experiment it was given; empty where none runs.
        num_ahead: Streams that were there when it came.
        predicted_ttfa_ms: What was predicted before any work; None where nothing was known.
        gapless_ns: The latest that a chunk came after the audio before it; with it as the moment of "play", a listener
            who gets every chunk when it is sent never hears a gap. None before the first audio.
        num_stalls: Gaps of a listener who plays at once.
        sent_audio_ns: Audio handed to the client.
        reader_ns: Time in which there was nothing to do but to hand over what was made: the client's pace, not ours.
        traceparent: The client's own span that this one belongs to, as W3C Trace Context writes it; empty: none.
        spans: Stages one by one as (name, begin, end) where `keeps_spans`, the first `MAX_SPANS` of them.
        failover: Who was asked for and could not speak, and why, as the header X-Failover tells it; None: nobody.

    A lane (its step) and the event loop (encoding, sending) write stage times at the same time; every other field has
    one writer.
    """

    request_id: str = ""
    engine: str = ""
    voice: str = ""
    language: str = ""
    speed: float = 1.0
    num_characters: int = 0
    text_class: TextClass | Literal[""] = ""
    format: str = ""
    delivery: str = ""
    warmth: Warmth | Literal[""] = "warm"
    origin: Origin = "client"
    run: str = ""
    arm: str = ""
    num_ahead: int = 0
    predicted_ttfa_ms: float | None = None
    clock: Clock = now_ns
    accepted_ns: int = 0
    first_step_ns: int | None = None
    first_chunk_ns: int | None = None
    first_sent_ns: int | None = None
    finished_ns: int | None = None
    stages_ns: dict[Stage, int] = field(default_factory=_no_stages)
    first_audio_stages_ns: dict[Stage, int] | None = None
    gapless_ns: int | None = None
    num_stalls: int = 0
    sent_audio_ns: int = 0
    reader_ns: int = 0
    traceparent: str = ""
    keeps_spans: bool = False
    spans: list[tuple[Stage, int, int]] = field(default_factory=list)
    audio_s: float = 0.0
    num_chunks: int = 0
    num_segments: int = 0
    num_retries: int = 0
    runtime: str = ""
    decode: str = ""
    failover: str | None = None
    outcome: Outcome | None = None
    error: str | None = None

    def __post_init__(self) -> None:
        if not self.accepted_ns:
            self.accepted_ns = self.clock()

    @contextmanager
    def stage(self, name: Stage) -> Iterator[None]:
        """Add the time spent in the block to stage `name`, also when the block raises."""
        begin = self.clock()
        try:
            yield
        finally:
            self.took(name, begin, self.clock())

    def took(self, name: Stage, begin_ns: int, end_ns: int) -> None:
        """Add a stretch of time to stage `name`."""
        self.add(name, end_ns - begin_ns)
        if self.keeps_spans and len(self.spans) < MAX_SPANS:
            self.spans.append((name, begin_ns, end_ns))

    def add(self, name: Stage, duration_ns: int) -> None:
        """Add `duration_ns` to stage `name`."""
        self.stages_ns[name] += duration_ns  # no call in it: CPython lets no other thread in between

    def ran(self, runtime: str, decode: str) -> None:
        """Note what has just run; what is known already is not repeated, nothing adds nothing."""
        self.runtime = _joined(self.runtime, runtime)
        self.decode = _joined(self.decode, decode)

    def first_audio_sent(self) -> None:
        """Note that the first audio has just been handed to the client; later calls do nothing."""
        if self.first_sent_ns is None:
            self.first_sent_ns = self.clock()
            self.first_audio_stages_ns = dict(self.stages_ns)

    def handed_over(self, begin_ns: int, idle_since_ns: int | None) -> None:
        """Note that the connection has just taken, or refused, what it was given.

        Args:
            begin_ns: When it was given.
            idle_since_ns: Since when nothing else is to be done for the utterance; None: something is.
        """
        end_ns = self.clock()
        self.took("chunk_delivery", begin_ns, end_ns)
        if idle_since_ns is not None:
            self.reader_ns += max(0, end_ns - max(begin_ns, idle_since_ns))

    def sent(self, audio_ns: int) -> None:
        """Note that a piece with so much audio has just been handed to the client; headers have none."""
        if audio_ns <= 0:
            return
        self.first_audio_sent()
        latest = self.clock() - self.sent_audio_ns
        if self.gapless_ns is None or latest > self.gapless_ns:
            self.num_stalls += self.gapless_ns is not None
            self.gapless_ns = latest
        self.sent_audio_ns += audio_ns

    def finish(self, outcome: Outcome, error: str | None = None) -> None:
        """Close the trace; the first outcome stands."""
        if self.outcome is None:
            self.outcome, self.error, self.finished_ns = outcome, error, self.clock()
            if outcome == "refused":
                self.warmth = ""  # nobody began to speak

    @property
    def ttfa_ms(self) -> float | None:
        """Accept to first audio handed to the client, in ms; None while there is none."""
        return None if self.first_sent_ns is None else (self.first_sent_ns - self.accepted_ns) / NS_PER_MS

    @property
    def ttgp_ms(self) -> float | None:
        """Accept to the earliest press of "play" that never stalls, in ms; None without audio."""
        return None if self.gapless_ns is None else (self.gapless_ns - self.accepted_ns) / NS_PER_MS

    @property
    def rtf(self) -> float | None:
        """Processing time over audio duration; None before the end or without audio.

        Processing is accept to end, less `reader_ns`: a client that pauses does not make the server slower.
        """
        if self.finished_ns is None or not self.audio_s:
            return None
        return (self.finished_ns - self.accepted_ns - self.reader_ns) / NS_PER_S / self.audio_s


def _joined(known: str, new: str) -> str:
    if not new or new in known.split(","):
        return known
    return f"{known},{new}" if known else new
