"""What a server offers: its endpoints that speak, really tried, and how to measure each.

First the server's own description is read, then well-known paths are tried. Whatever looks as if it spoke is asked to
say "Hi.": only what answers with audio counts as found.
"""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import warnings
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from firstaudio.bench.discovery import openapi
from firstaudio.bench.discovery.candidate import USUAL_PATHS, Candidate, known
from firstaudio.bench.discovery.catalogue import Catalogue, look
from firstaudio.bench.discovery.trial import LONG_TEXT, Trial, attempt, streams
from firstaudio.bench.exchange import FailureKind
from firstaudio.bench.record import OK
from firstaudio.bench.spec import TargetSpec
from firstaudio.bench.targets.connection import split_url
from firstaudio.errors import BenchError, MissingExtraError

if TYPE_CHECKING:
    from wyoming.info import Info

FORMATS = ("wav", "mp3", "opus", "aac", "flac", "pcm")
FALLBACK_VOICE = "alloy"  # every server that calls itself OpenAI-compatible knows it
SPEECH_MODEL = re.compile(r"tts|speech|kokoro|piper|voice|audio", re.IGNORECASE)
MAX_TRIED = 24
NO_SPEECH = (FailureKind.WRONG_FORMAT, FailureKind.PROTOCOL)
KNOWN_PATH = Candidate(TargetSpec("http")).found_by
BASE_SUFFIXES = ("/", "/v1/audio/speech", "/v1", "/")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint, tried.

    Attributes:
        works: Whether it answered with audio.
        outcome: "ok", or a `FailureKind`.
        found_by: "OpenAPI", "known path" or "Wyoming".
        method: Of HTTP, else empty.
        path: Under the server's URL, as a template.
        status: Of HTTP.
        content_type: As stated.
        message: Why it does not work, or what is missing; empty where all is well.
        container: What came.
        sample_rate: Of what came, in Hz; None: nobody states it.
        streams: Whether audio comes while the rest is being made; None: it could not be told.
        streaming_seen: How that was seen.
        sse: Whether it sends events on demand; None: not asked.
        formats: That it sends on demand; only those tried and heard.
        refused_formats: The others that were tried, and what happened.
        voice: With which it was tried.
        spec: To measure it with, without the token.
        command: The same as a command line.
    """

    works: bool
    outcome: str
    found_by: str
    method: str
    path: str
    status: int | None
    content_type: str | None
    message: str
    spec: TargetSpec
    command: str
    container: str | None = None
    sample_rate: int | None = None
    streams: bool | None = None
    streaming_seen: str = ""
    sse: bool | None = None
    formats: tuple[str, ...] = ()
    refused_formats: dict[str, str] = field(default_factory=dict)
    voice: str | None = None


@dataclass(frozen=True, slots=True)
class Discovery:
    """What a server offers. JSON by `dataclasses.asdict`.

    Attributes:
        url: Of the server.
        engine: The name that it gives itself.
        server: Its header of that name.
        voices: Ids that it lists.
        models: Ids that it lists.
        endpoints: Those that work first; those that do not exist are left out.
        statuses: Of the paths that were only looked at.
        notes: For people, one sentence each.
    """

    url: str
    engine: str | None = None
    server: str | None = None
    voices: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    statuses: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def working(self) -> tuple[Endpoint, ...]:
        """Endpoints that speak."""
        return tuple(endpoint for endpoint in self.endpoints if endpoint.works)


async def discover(url: str, token: str | None = None, timeout_s: float = 10.0, verify_tls: bool = True) -> Discovery:
    """Find out what the server at a URL offers.

    Args:
        url: `http(s)://host:port`, or `tcp://host:port` of a Wyoming server.
        token: Sent as bearer; not part of the result.
        timeout_s: For each single request.
        verify_tls: Whether certificates are checked.

    Raises:
        BenchError: The URL is none, or nobody answers there.
    """
    if url.startswith(("tcp://", "unix://")):
        return await _discover_wyoming(url, timeout_s)
    url, headers = _base(url, token)
    catalogue = await look(url, headers, timeout_s, verify_tls)
    found = [*openapi.candidates(catalogue.openapi, url, token), *known(url, token)]
    how = {"timeout_s": timeout_s, "verify_tls": verify_tls}
    endpoints = [endpoint async for endpoint in _tried(found, catalogue, how)]
    return _discovery(url, catalogue, found, _told(endpoints))


async def list_voices(url: str, token: str | None = None, timeout_s: float = 10.0) -> tuple[str, ...]:
    """Ids of the voices that a server lists; nothing is spoken. Raises BenchError when nobody answers."""
    if url.startswith(("tcp://", "unix://")):
        return _wyoming_voices(await _wyoming_info(url, timeout_s))
    base, headers = _base(url, token)
    catalogue = await look(base, headers, timeout_s)
    return catalogue.voices or _listed(openapi.candidates(catalogue.openapi, base, token))


def _base(url: str, token: str | None) -> tuple[str, dict[str, str]]:
    """The URL without the end that people write for OpenAI clients, and what every request carries."""
    split_url(url)
    for suffix in BASE_SUFFIXES:
        url = url.removesuffix(suffix)
    return url, {"Authorization": f"Bearer {token}"} if token else {}


def _listed(found: list[Candidate]) -> tuple[str, ...]:
    """Voices that the description of an endpoint lists."""
    return next((candidate.voices for candidate in found if candidate.voices), ())


def _told(endpoints: list[Endpoint]) -> list[Endpoint]:
    """Those that work first, one for each place, without the guesses that were wrong."""
    told: dict[tuple[str, str], Endpoint] = {}
    for endpoint in sorted(endpoints, key=lambda endpoint: not endpoint.works):
        if endpoint.works or endpoint.found_by != KNOWN_PATH or not _absent(endpoint):
            told.setdefault((endpoint.method, endpoint.path.partition("?")[0]), endpoint)
    return list(told.values())


def _absent(endpoint: Endpoint) -> bool:
    """No such path, or something other than speech behind it."""
    return endpoint.status in (404, 405) or endpoint.path == "/" or endpoint.outcome in NO_SPEECH


def _discovery(url: str, catalogue: Catalogue, found: list[Candidate], endpoints: list[Endpoint]) -> Discovery:
    notes = []
    if not any(endpoint.works for endpoint in endpoints):
        notes.append("no endpoint spoke: state its path, body and where the audio is, see `firstaudio bench server`")
    if any(endpoint.status in (401, 403) for endpoint in endpoints):
        notes.append("the server wants a token: state one that it accepts")
    if len(found) > MAX_TRIED:
        notes.append(f"{len(found) - MAX_TRIED} more endpoints look as if they spoke and were not tried")
    return Discovery(
        url,
        catalogue.engine,
        catalogue.server,
        catalogue.voices or _listed(found),
        catalogue.models,
        tuple(endpoints),
        catalogue.statuses,
        tuple(notes),
    )


async def _tried(found: list[Candidate], catalogue: Catalogue, how: dict[str, float | bool]) -> AsyncIterator[Endpoint]:
    """Each place once, one after the other: answers are timed."""
    spoke: set[tuple[str, str]] = set()
    tried: set[tuple[str, str, str]] = set()
    for candidate in found[:MAX_TRIED]:
        way = (candidate.spec.kind, *candidate.place)
        if candidate.place in spoke or way in tried:
            continue
        tried.add(way)
        spec = candidate.spec.replace(**how)
        if _needs_voice(spec) and not (candidate.voices or catalogue.voices):
            continue
        endpoint = await _try(candidate, spec, catalogue)
        if endpoint.works:
            spoke.add(candidate.place)
        yield endpoint


async def _try(candidate: Candidate, spec: TargetSpec, catalogue: Catalogue) -> Endpoint:
    trial = await _first_success(spec, candidate.voices or catalogue.voices, catalogue.models)
    if not trial.works:
        return _endpoint(candidate, trial)
    longer = await attempt(trial.spec, trial.voice, LONG_TEXT)
    does_stream, seen = streams(longer.exchange, longer.heard)
    formats: dict[str, str] = await _formats(candidate, trial)
    sse = None
    if spec.kind == "openai":
        events = spec.replace(delivery="sse", model=trial.spec.model)
        sse = (await attempt(events, trial.voice)).heard.outcome == OK
    return _endpoint(candidate, trial, does_stream, seen, sse, formats)


async def _first_success(spec: TargetSpec, voices: tuple[str, ...], models: tuple[str, ...]) -> Trial:
    """Without a voice, with one, with another model: until it speaks, or says no for another reason."""
    speaking = [model for model in models if SPEECH_MODEL.search(model)] or list(models)
    ways: list[tuple[str | None, str | None]] = [(None, None)]
    named = [voices[0] if voices else FALLBACK_VOICE]
    ways += [(voice, model) for model in (None, *speaking[:2]) for voice in named]
    if _needs_voice(spec) or (spec.kind == "openai" and voices):
        ways = ways[1:]
    trial = None
    for voice, model in ways:
        trial = await attempt(spec.replace(model=model), voice)
        if trial.works or trial.exchange.status not in (400, 404, 422, 500):
            break
    assert trial is not None
    return trial


def _needs_voice(spec: TargetSpec) -> bool:
    """A path with a voice in it; a query without one is shorter."""
    return "{voice}" in (spec.path or "").partition("?")[0]


async def _formats(candidate: Candidate, trial: Trial) -> dict[str, str]:
    """Each format, and "" or why not."""
    if candidate.format_field is None:
        return {}
    result = {}
    for name in FORMATS:
        asked = await attempt(_asking_for(trial.spec, candidate.format_field, name), trial.voice, container=name)
        result[name] = "" if asked.works else asked.heard.message
    return result


def _asking_for(spec: TargetSpec, format_field: str, name: str) -> TargetSpec:
    if spec.kind == "http":
        return spec.replace(container=name, body={**(spec.body or {}), format_field: name})
    return spec.replace(container=name)


def _endpoint(
    candidate: Candidate,
    trial: Trial,
    does_stream: bool | None = None,
    seen: str = "",
    sse: bool | None = None,
    formats: dict[str, str] | None = None,
) -> Endpoint:
    formats = formats or {}
    spec = _measured(trial.spec, formats).replace(token=None, headers={}, timeout_s=TargetSpec("http").timeout_s)
    method, path = candidate.place
    return Endpoint(
        works=trial.works,
        outcome=trial.heard.outcome,
        found_by=candidate.found_by,
        method=method,
        path=spec.path or path,
        status=trial.exchange.status,
        content_type=trial.exchange.headers.get("content-type"),
        message=trial.heard.message,
        spec=spec,
        command=command_line(spec, trial.voice),
        container=trial.heard.container,
        sample_rate=trial.heard.sample_rate,
        streams=does_stream,
        streaming_seen=seen,
        sse=sse,
        formats=tuple(name for name, why_not in formats.items() if not why_not),
        refused_formats={name: why_not for name, why_not in formats.items() if why_not},
        voice=trial.voice,
    )


def _measured(spec: TargetSpec, formats: dict[str, str]) -> TargetSpec:
    """With the container that states its own rate, where the server sends it."""
    return spec.replace(container="wav") if formats.get("wav") == "" else spec


def command_line(spec: TargetSpec, voice: str | None = None) -> str:
    """What measures a target, ready for a shell."""
    words = ["firstaudio", "bench", "server", "--url", spec.url]
    flags = {
        "--kind": None if spec.kind in ("openai", "wyoming") else spec.kind,
        "--path": None if spec.path == USUAL_PATHS.get(spec.kind) else spec.path,
        "--method": None if spec.method == "POST" else spec.method,
        "--body": None if spec.body is None else json.dumps(spec.body, ensure_ascii=False),
        "--audio": spec.audio,
        "--model": spec.model,
        "--format": None if spec.container == "wav" or spec.kind == "wyoming" else spec.container,
        "--voice": voice,
    }
    for flag, value in flags.items():
        words += [] if value is None else [flag, value]
    words += [] if spec.verify_tls else ["--insecure"]
    return shlex.join(words)


async def _discover_wyoming(url: str, timeout_s: float) -> Discovery:
    """Ask for its info, then let it speak."""
    info = await _wyoming_info(url, timeout_s)
    spec = TargetSpec("wyoming", url, timeout_s=timeout_s, container="pcm")
    trial = await attempt(spec, None)
    longer = await attempt(spec, None, LONG_TEXT) if trial.works else trial
    endpoint = _endpoint(Candidate(spec, "Wyoming"), trial, *streams(longer.exchange, longer.heard))
    takes_pieces = any(program.supports_synthesize_streaming for program in info.tts)
    return Discovery(
        url,
        ", ".join(program.name for program in info.tts) or None,
        voices=_wyoming_voices(info),
        endpoints=(replace(endpoint, method="", path=""),),
        notes=("takes text piece by piece" if takes_pieces else "takes whole texts only",),
    )


async def _wyoming_info(url: str, timeout_s: float) -> Info:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # it tries audioop, and does without
            from wyoming.client import AsyncClient
            from wyoming.info import Describe, Info
    except ImportError as error:
        raise MissingExtraError("a Wyoming target", "bench") from error
    try:
        async with asyncio.timeout(timeout_s), AsyncClient.from_uri(url) as client:
            await client.write_event(Describe().event())
            while (event := await client.read_event()) is not None:
                if Info.is_type(event.type):
                    return Info.from_event(event)
    except (OSError, ValueError, KeyError) as error:  # a timeout is an OSError
        reason = str(error) or f"no answer within {timeout_s:g} s"
        raise BenchError(f"{url} is no Wyoming server that answers ({reason}): start it or correct the URL") from error
    raise BenchError(f"{url} closed the connection when it was asked what it is: it is no Wyoming server")


def _wyoming_voices(info: Info) -> tuple[str, ...]:
    return tuple(dict.fromkeys(voice.name for program in info.tts for voice in program.voices))
