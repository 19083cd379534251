"""The reference server's Wyoming side: `describe`, `synthesize`, and text in pieces."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing

from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Event, async_read_event, async_write_event
from wyoming.info import Attribution, Describe, Info, TtsProgram, TtsVoice
from wyoming.tts import Synthesize, SynthesizeChunk, SynthesizeStart, SynthesizeStop, SynthesizeStopped, SynthesizeVoice

from firstaudio.bench.reference.asks import AskError, read_ask
from firstaudio.bench.reference.relay import BrokenOffError, Relay
from firstaudio.bench.reference.service import MODEL, VOICES
from firstaudio.bench.reference.sinks import FAILS
from firstaudio.bench.reference.stage import Stage
from firstaudio.clock import now_ns

NOBODY = Attribution(name="firstaudio", url="")


async def listen(stack: AsyncExitStack, stage: Stage, host: str, port: int) -> int:
    """Listen until the stack closes; the port."""
    ids = itertools.count(1)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await _Dialogue(stage, reader, writer, f"wyoming-{next(ids)}").run()
        except ConnectionError:
            return
        finally:
            writer.close()

    server = await asyncio.start_server(talk, host, port)
    stack.callback(server.close)
    return int(server.sockets[0].getsockname()[1])


class _Dialogue:
    """One connection."""

    def __init__(self, stage: Stage, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, name: str) -> None:
        self._stage, self._reader, self._writer, self._name = stage, reader, writer, name
        self._voice: SynthesizeVoice | None = None
        self._texts: list[str] | None = None  # those of text that comes in pieces; None outside of it

    async def run(self) -> None:
        """To the end of the connection."""
        while (event := await async_read_event(self._reader)) is not None:
            try:
                await self._react(event, now_ns())
            except AskError as error:
                await self._write(Error(error.message, str(error.status)).event())

    async def _react(self, event: Event, at_ns: int) -> None:
        if Describe.is_type(event.type):
            await self._write(_info().event())
        elif SynthesizeStart.is_type(event.type):
            self._voice, self._texts = SynthesizeStart.from_event(event).voice, []
        elif SynthesizeChunk.is_type(event.type) and self._texts is not None:
            self._texts.append(SynthesizeChunk.from_event(event).text)
        elif SynthesizeStop.is_type(event.type) and self._texts is not None:
            text, self._texts = "".join(self._texts), None
            await self._speak(text, self._voice, at_ns)
            await self._write(SynthesizeStopped().event())
        elif Synthesize.is_type(event.type) and self._texts is None:  # else it repeats the pieces, for old servers
            asked = Synthesize.from_event(event)
            await self._speak(asked.text, asked.voice, at_ns)

    async def _speak(self, text: str, voice: SynthesizeVoice | None, at_ns: int) -> None:
        """The whole text at once: TTFA counts from its end."""
        ask = read_ask({"text": text, "voice": voice.name if voice and voice.name else ""})
        relay = Relay(self._stage, ask, at_ns, self._name)
        try:
            async with aclosing(self._events(relay)) as events:
                async for event in events:
                    await self._write(event)
        except BrokenOffError as broken:
            await self._break_off(broken.breaks)

    async def _events(self, relay: Relay) -> AsyncGenerator[Event, None]:
        rate = self._stage.figures.sample_rate
        started = False
        async with aclosing(relay.pieces()) as pieces:
            async for pcm in pieces:
                if not started:
                    yield AudioStart(rate, 2, 1).event()
                    started = True
                yield AudioChunk(rate, 2, 1, pcm).event()
        yield AudioStop().event()

    async def _break_off(self, breaks: str) -> None:
        if breaks == "disconnect":
            self._writer.transport.abort()
        elif breaks == "hang":
            await self._reader.read()
        else:
            await self._write(AudioStop().event() if breaks == "end" else Error(FAILS, "stated").event())

    async def _write(self, event: Event) -> None:
        await async_write_event(event, self._writer)


def _info() -> Info:
    voices = [
        TtsVoice(name=name, attribution=NOBODY, installed=True, description=None, version=None, languages=["en"])
        for name in VOICES
    ]
    program = TtsProgram(
        name=MODEL,
        attribution=NOBODY,
        installed=True,
        description="tones with stated figures",
        version="1",
        voices=voices,
        supports_synthesize_streaming=True,
    )
    return Info(tts=[program])
