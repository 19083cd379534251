"""Targets over HTTP: what the kinds "openai", "http" and "torch" share."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping

from firstaudio.bench.exchange import Exchange, FailureKind, PcmFormat, SpeakError
from firstaudio.bench.spec import Reading, TargetSpec
from firstaudio.bench.targets import generic, openai, torch_inference
from firstaudio.bench.targets.connection import Connection
from firstaudio.bench.targets.refusal import raise_for_status
from firstaudio.bench.targets.request import Asker
from firstaudio.bench.targets.wire import DEFAULT_LIMITS, Limits
from firstaudio.bench.utterance import Utterance
from firstaudio.errors import BenchError

MAKERS: Mapping[str, Callable[[TargetSpec], tuple[Asker, Reading]]] = {
    "openai": openai.make,
    "http": generic.make,
    "torch": torch_inference.make,
}
RAW_TYPES = ("audio/l16", "audio/pcm", "audio/x-pcm", "audio/raw", "audio/x-raw")


def make_http_target(spec: TargetSpec, limits: Limits = DEFAULT_LIMITS) -> HttpTarget:
    """The target of a specification of kind "openai", "http" or "torch".

    Raises:
        BenchError: The specification cannot be carried out; the message says what to write.
    """
    if spec.kind not in MAKERS:
        raise BenchError(f"{spec.kind!r} is no HTTP target: write one of {', '.join(MAKERS)}")
    if spec.delivery not in ("stream", "whole", "sse"):
        raise BenchError(f"unknown delivery {spec.delivery!r}: write stream, whole or sse")
    asker, reading = MAKERS[spec.kind](spec)
    return HttpTarget(spec, asker, reading, limits)


class HttpTarget:
    """Opens channels to one HTTP server."""

    def __init__(self, spec: TargetSpec, asker: Asker, reading: Reading, limits: Limits) -> None:
        self._spec = spec
        self._asker = asker
        self._reading = reading
        self._limits = limits

    @property
    def reading(self) -> Reading:
        """How the audio lies in what arrives."""
        return self._reading

    async def open(self) -> HttpChannel:
        """A connected channel; one of cold connections connects when it speaks. Raises SpeakError (unreachable)."""
        if self._spec.connections == "cold":  # connecting is a part of each request, and must not happen twice
            return HttpChannel(Connection(self._asker.origin, self._limits, keep=False), self._asker)
        connection = Connection(self._asker.origin, self._limits)
        try:
            async with asyncio.timeout(self._spec.timeout_s):
                await connection.connect()
        except TimeoutError:
            where, limit = self._asker.origin.url, self._spec.timeout_s
            message = f"{where} took no connection within {limit:g} s: start the server or correct the URL"
            raise SpeakError(FailureKind.UNREACHABLE, message) from None
        return HttpChannel(connection, self._asker)

    async def close(self) -> None:
        """Channels share nothing."""


class HttpChannel:
    """One client's connection."""

    def __init__(self, connection: Connection, asker: Asker) -> None:
        self._connection = connection
        self._asker = asker

    async def speak(self, utterance: Utterance, exchange: Exchange) -> None:
        """Send one utterance and fill the exchange; see `Channel.speak`."""
        try:
            await self._connection.send(self._asker.request(utterance), exchange)
        finally:  # what came of an answer that broke off can be read too
            exchange.stated = stated_format(exchange.headers)
        raise_for_status(exchange, self._asker.origin.url)

    async def close(self) -> None:
        """Release the connection."""
        self._connection.close()


def stated_format(headers: Mapping[str, str]) -> PcmFormat | None:
    """The format of raw samples, where header fields state their rate: X-Sample-Rate, or a parameter of the type.

    `audio/L16` is big endian by its definition, but speech services send little endian under that name, as they do
    under `audio/pcm`.
    """
    media_type, *parameters = headers.get("content-type", "").lower().split(";")
    pairs = (parameter.partition("=") for parameter in parameters)
    stated = {name.strip(): value.strip().strip('"') for name, _, value in pairs}
    rate = _number(headers.get("x-sample-rate"))
    if rate is None and media_type.strip() in RAW_TYPES:
        rate = _number(stated.get("rate") or stated.get("sample_rate"))
    if rate is None:
        return None
    return PcmFormat(rate, num_channels=_number(stated.get("channels")) or 1)


def _number(text: str | None) -> int | None:
    """A positive integer; None for anything else."""
    return int(text) if text is not None and re.fullmatch(r"[1-9]\d{0,6}", text.strip()) else None
