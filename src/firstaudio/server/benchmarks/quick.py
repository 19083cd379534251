"""One utterance, measured the way that a client's goes: through the synthesizer, an encoder and a response."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from uuid import uuid4

from starlette.types import Message, Receive

from firstaudio.audio.encode import FORMATS, make_encoder, output_rate
from firstaudio.errors import EngineError, NotReadyError
from firstaudio.server.benchmarks.witness import Witness
from firstaudio.server.framing import RawFraming
from firstaudio.server.responses import StreamedResponse
from firstaudio.slo import Category, is_met
from firstaudio.synthesis.synthesizer import Synthesizer
from firstaudio.synthesis.utterance import Utterance
from firstaudio.telemetry.measurement import Measurement, measure
from firstaudio.trace import Stage, Trace

DEFAULT_TEXT = "Good morning to everyone who is listening to this sentence."
FORMAT = "wav"
ADVICE: dict[Category, str] = {
    "excellent": "✅ Excellent TTFA performance",
    "good": "✅ Good TTFA performance",
    "acceptable": "⚠️ Acceptable TTFA performance",
    "poor": "⚠️ Poor TTFA performance",
    "critical": "❌ Critical TTFA performance",
}


@dataclass(frozen=True, slots=True)
class QuickResult:
    """One utterance.

    Attributes:
        measurement: What it took.
        num_other: Streams of others that overlapped it.
    """

    measurement: Measurement
    num_other: int


async def measure_once(
    synthesizer: Synthesizer, witness: Witness, text: str, voice: str | None, receive: Receive, ended_at: float = 0.0
) -> QuickResult:
    """Speak a text to nobody and say what it took; all of it is made anew.

    Args:
        synthesizer: Who speaks.
        witness: What else is spoken.
        text: With something to speak in it.
        voice: None takes the default one.
        receive: Of the request that asks: when its client goes away, the speech ends.
        ended_at: Metadata of the measurement, in seconds since 1970.

    Raises:
        RequestError: The text or the voice cannot be spoken, or not now.
        EngineError: The engine failed.
    """
    trace = Trace(request_id=f"quick_{uuid4().hex[:12]}", origin="benchmark", format=FORMAT, delivery="audio")
    trace.run = trace.request_id
    with witness.watch(trace.run) as watch:
        utterance = Utterance(text, voice=voice, fresh=True, request_id=trace.request_id)
        stream = synthesizer.stream(utterance, trace, partial(output_rate, FORMAT))
        try:
            encoder = make_encoder(FORMAT, stream.sample_rate)
            response = StreamedResponse(stream, encoder, RawFraming(FORMATS[FORMAT].media_type))
        except BaseException:
            await stream.aclose()
            raise
        await response({"type": "http"}, receive, _discard)
    if trace.outcome == "failed":
        raise EngineError(trace.error or "the engine failed in the middle of the speech")
    if trace.outcome != "completed" or trace.ttfa_ms is None:
        raise NotReadyError("the measurement was broken off; try again shortly")
    return QuickResult(measure(trace, ended_at), max(watch.num_other, trace.num_ahead))


def recommendation(ttfa_ms: float, category: Category, bottleneck: Stage | None, target_ms: float) -> str:
    """What to think of one time to first audio; where it misses the target, where to look."""
    if is_met(ttfa_ms, target_ms):
        return ADVICE[category]
    where = f": most of it was {bottleneck}" if bottleneck else ""
    return f"{ADVICE[category]}, the target of {target_ms:g} ms is missed{where}; GET /ttfa-performance tells more"


async def _discard(_: Message) -> None:
    """The network of a client that takes everything at once."""
