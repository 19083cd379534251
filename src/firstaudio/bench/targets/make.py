"""From data to targets, and from what a user types to data."""

from __future__ import annotations

import re
import shlex
from typing import Any
from urllib.parse import urlsplit

from firstaudio.bench.spec import KINDS, Kind, TargetSpec
from firstaudio.bench.targets.base import Target
from firstaudio.errors import BenchError, MissingExtraError

EXTRA = "bench"
FORMS = (
    "http://host:8000 (OpenAI-compatible), openai:URL, torch:URL, http:URL (any other HTTP endpoint), "
    "ws://host/path or websocket:URL, elevenlabs:URL, tcp://host:port (Wyoming), cmd:PROGRAM ARGUMENTS"
)
SCHEMES: dict[str, Kind] = {
    "http": "openai",
    "https": "openai",
    "ws": "websocket",
    "wss": "websocket",
    "tcp": "wyoming",
    "unix": "wyoming",
}
ALIASES: dict[str, Kind] = {"cmd": "command", **{kind: kind for kind in KINDS}}
ACCEPTED: dict[Kind, tuple[str, ...]] = {
    "openai": ("http", "https"),
    "http": ("http", "https"),
    "torch": ("http", "https"),
    "websocket": ("ws", "wss", "http", "https"),
    "elevenlabs": ("ws", "wss", "http", "https"),
    "wyoming": ("tcp", "unix"),
}
_PREFIX = re.compile(r"(" + "|".join(ALIASES) + r"):(?!//)(.*)", re.DOTALL)


def make_target(spec: TargetSpec) -> Target:
    """The target that a spec describes; nothing is connected yet.

    Raises:
        BenchError: The spec cannot be carried out; the message says what to write.
        MissingExtraError: Its protocol needs a library that is not installed.
    """
    if spec.kind not in KINDS:
        raise BenchError(f"there is no kind of target {spec.kind!r}: write one of {', '.join(KINDS)}")
    if spec.kind != "command" and not (spec.kind == "elevenlabs" and not spec.url):
        _check_url(spec.kind, spec.url)
    try:
        return _make(spec)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("firstaudio"):
            raise
        raise MissingExtraError(f"a target of kind {spec.kind}", EXTRA) from error


def parse_target(text: str, **defaults: Any) -> TargetSpec:
    """The spec of what a user typed; `FORMS` lists what may be typed.

    A path in an HTTP URL is the endpoint, but for a last `/v1`: that is how base URLs of OpenAI clients are written.

    Args:
        text: As typed.
        defaults: Other fields of the spec; what the text states itself wins.

    Raises:
        BenchError: The text is no target.
    """
    text = text.strip()
    prefix = _PREFIX.fullmatch(text)
    if prefix is None:
        kind = SCHEMES.get(text.partition("://")[0].lower()) if "://" in text else None
        rest = text
    else:
        kind, rest = ALIASES[prefix[1]], prefix[2].strip()
    if kind is None:
        raise BenchError(f"{text!r} is no target: write one of {FORMS}")
    return TargetSpec(**{**defaults, **_stated(kind, rest), "kind": kind})


def _stated(kind: Kind, rest: str) -> dict[str, Any]:
    if kind == "command":
        return {"command": _split_command(rest)}
    if kind == "elevenlabs" and not rest:
        return {}
    _check_url(kind, rest)
    if kind == "wyoming":
        return {"url": rest}
    origin, path = _split_url(rest)
    return {"url": origin} if path is None else {"url": origin, "path": path}


def _split_command(line: str) -> tuple[str, ...]:
    try:
        command = tuple(shlex.split(line))
    except ValueError as error:
        raise BenchError(f"the command {line!r} cannot be split ({error}): check its quotes") from error
    if not command:
        raise BenchError("no command follows 'cmd:': write the program and its arguments")
    return command


def _split_url(url: str) -> tuple[str, str | None]:
    """Base URL, and path with query; None where only a base was written."""
    parts = urlsplit(url)
    base = f"{parts.scheme}://{parts.netloc}"
    path = parts.path.rstrip("/") if not parts.query else parts.path
    if not parts.query and (not path or path.endswith("/v1")):
        return base + path.removesuffix("/v1"), None
    return base, path + (f"?{parts.query}" if parts.query else "")


def _check_url(kind: Kind, url: str) -> None:
    wanted = ACCEPTED[kind]
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise BenchError(f"{url!r} is no URL ({error}): write it as {wanted[0]}://host:port") from error
    if parts.scheme not in wanted:
        raise BenchError(f"{url!r} is no URL of a target of kind {kind}: it begins with {' or '.join(wanted)}://")
    if parts.scheme == "unix":
        return
    try:
        port = parts.port
    except ValueError as error:
        raise BenchError(f"{url!r} has no valid port: write a number from 1 to 65535") from error
    if not parts.hostname or (kind == "wyoming" and port is None):
        raise BenchError(f"{url!r} lacks its {'port' if parts.hostname else 'host'}: write {wanted[0]}://host:port")


def _make(spec: TargetSpec) -> Target:
    """Each protocol's libraries are imported only when it is used."""
    match spec.kind:
        case "websocket":
            from firstaudio.bench.targets.websocket import WebsocketTarget

            return WebsocketTarget(spec)
        case "elevenlabs":
            from firstaudio.bench.targets.elevenlabs import ElevenLabsTarget

            return ElevenLabsTarget(spec)
        case "wyoming":
            from firstaudio.bench.targets.wyoming import WyomingTarget

            return WyomingTarget(spec)
        case "command":
            from firstaudio.bench.targets.command import CommandTarget

            return CommandTarget(spec)
        case _:
            from firstaudio.bench.targets.http import make_http_target

            return make_http_target(spec)
