"""`firstaudio doctor`: what is there, what is missing and how to get it; every engine and encoder is really tried."""

from __future__ import annotations

import errno
import json
import platform
import socket
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import typer

from firstaudio import __version__
from firstaudio.cli.options import ConfigOption, JsonOption
from firstaudio.clock import NS_PER_MS, now_ns
from firstaudio.config import Config, load
from firstaudio.errors import ConfigError, FirstaudioError

if TYPE_CHECKING:
    from pathlib import Path

EXIT_BROKEN = 1
PACKAGES = ("av", "espeakng-loader", "fastapi", "numpy", "pydantic", "sentencex", "soxr", "uvicorn", "uvloop")
WORD = "Hello."
TEST_TONE_S = 0.5


@dataclass(frozen=True, slots=True)
class Check:
    """One finding.

    Attributes:
        name: What was looked at.
        status: "ok"; "optional": not there, and needed only for what `found` says; "info": neither good nor bad;
            "broken": needed and does not work.
        detail: What was found.
        remedy: What to do about it.
    """

    name: str
    status: Literal["ok", "optional", "info", "broken"]
    detail: str
    remedy: str = ""


def doctor(config: ConfigOption = None, json_: JsonOption = False) -> None:
    """Check this installation.

    Engines are started and say a word, encoders encode. Exits with 1 when something that is needed does not work.
    """
    checks = list(examine(config))
    if json_:
        print(json.dumps([asdict(check) for check in checks], indent=2, ensure_ascii=False))
    elif sys.stdout is not None and sys.stdout.isatty():
        _print_table(checks)
    else:
        _print_lines(checks)
    if any(check.status == "broken" for check in checks):
        raise typer.Exit(EXIT_BROKEN)


def examine(config_file: Path | None = None) -> Iterator[Check]:
    """Every check, in the order in which one thing needs another."""
    yield Check("firstaudio", "ok", f"{__version__}, Python {platform.python_version()}, {platform.platform()}")
    yield from _packages()
    config = Config()
    try:
        config = load(config_file)
        yield Check("configuration", "ok", f"given: {', '.join(config.origins) or 'nothing, defaults hold'}")
    except ConfigError as error:
        yield Check("configuration", "broken", error.message, "mend it; the checks below use the defaults")
    yield _espeak_library(config)
    told: dict[str, Mapping[str, Any]] = {}
    engines = list(_engines(config, told))
    yield from engines
    if all(check.status != "broken" for check in engines):
        yield _default_voice(config)
    yield from _kokoro(config, told.get("kokoro", {}))
    yield from _encoders()
    yield _sound_device()
    yield _port(config)


def _packages() -> Iterator[Check]:
    from importlib.metadata import PackageNotFoundError, version

    found = []
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            yield Check(f"package {name}", "broken", "not installed", f"pip install {name}")
    yield Check("packages", "ok", ", ".join(found))


def _espeak_library(config: Config) -> Check:
    from firstaudio.engines.espeak.engine import find_library

    try:
        library, data = find_library(config.espeak.library)
    except ConfigError as error:
        return Check("espeak-ng library", "broken", "none found", error.message)
    return Check("espeak-ng library", "ok", f"{library} (data: {data or 'its own'})")


def _engines(config: Config, told: dict[str, Mapping[str, Any]]) -> Iterator[Check]:
    """Every engine, tried; what one tells of itself (`status`) goes into `told`."""
    from firstaudio.cli.doctor_kokoro import reason_to_wait
    from firstaudio.engines.registry import available

    installed = available()
    for name in dict.fromkeys((*config.engine.names, *installed)):
        needed = name in config.engine.names
        if name == "kokoro" and not needed and (reason := reason_to_wait(config)):
            yield Check(f"engine {name}", "optional", f"not tried: {reason}", "to try it: --engine-names kokoro")
            continue
        try:
            yield Check(f"engine {name}", "ok", _try_engine(name, config, told))
        except FirstaudioError as error:
            remedy = "mend it, or take it out of engine.names" if needed else "only needed if you want this engine"
            yield Check(f"engine {name}", "broken" if needed else "optional", error.message, remedy)


def _try_engine(name: str, config: Config, told: dict[str, Mapping[str, Any]]) -> str:
    """Start the engine and let it say a word. Raises FirstaudioError."""
    from firstaudio.cli.embedded import embedded
    from firstaudio.engines.registry import create
    from firstaudio.synthesis.utterance import Utterance

    begin_ns = now_ns()
    engine = create(name, config)
    with embedded(config, {name: engine}, check_default_voice=False) as synthesizer:
        start_ms = (now_ns() - begin_ns) / NS_PER_MS
        voices = [voice for _, voice in synthesizer.voices()]
        begin_ns = now_ns()
        with synthesizer.speak(Utterance(WORD, voices[0].id)) as speech:
            next(speech)
            first_ms = (now_ns() - begin_ns) / NS_PER_MS
        description = synthesizer.infos()[0].description
        told[name] = engine.status() if hasattr(engine, "status") else {}
    return f"{description}; {len(voices)} voices; started in {start_ms:.0f} ms, a word began after {first_ms:.1f} ms"


def _default_voice(config: Config) -> Check:
    from firstaudio.cli.embedded import embedded

    try:
        with embedded(config):
            return Check("default voice", "ok", config.engine.default_voice)
    except FirstaudioError as error:
        return Check("default voice", "broken", error.message, "choose another one: engine.default_voice")


def _kokoro(config: Config, told: Mapping[str, Any]) -> Iterator[Check]:
    from firstaudio.cli.doctor_kokoro import kokoro_checks

    yield from kokoro_checks(config, told)


def _encoders() -> Iterator[Check]:
    import numpy as np

    from firstaudio.audio.encode import FORMATS, make_encoder

    rate = 24_000
    tone = np.rint(8000 * np.sin(2 * np.pi * 440 * np.arange(round(TEST_TONE_S * rate)) / rate)).astype(np.int16)
    for name in FORMATS:
        begin_ns = now_ns()
        try:
            encoder = make_encoder(name, rate)
            num_bytes = len(encoder.push(tone)) + len(encoder.finish())
        except Exception as error:  # noqa: BLE001 -- whatever the codec library raises is the finding
            yield Check(f"format {name}", "broken", repr(error), "pip install --force-reinstall av")
            continue
        took_ms = (now_ns() - begin_ns) / NS_PER_MS
        yield Check(f"format {name}", "ok", f"{TEST_TONE_S:g} s of tone: {num_bytes} bytes in {took_ms:.1f} ms")


def _sound_device() -> Check:
    from firstaudio.cli.sinks import import_sounddevice

    try:
        sounddevice = import_sounddevice()
        device = sounddevice.query_devices(kind="output")
    except ConfigError as error:
        return Check("sound device", "optional", "say can write files, not play", error.message)
    except Exception as error:  # noqa: BLE001 -- PortAudio's own error type lives in the optional package
        return Check("sound device", "optional", str(error), "connect one, or write files with say -o FILE")
    return Check("sound device", "ok", str(device["name"]))


def _port(config: Config) -> Check:
    host, port = config.server.host, config.server.port
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            detail = f"port {port} in use on {host}, by a server that runs already or by something else"
            return Check("port", "info", detail, "to serve on another one: serve --port")
        return Check("port", "info", f"cannot listen on {host}:{port}: {error.strerror or error}")
    return Check("port", "ok", f"port {port} free on {host}")


def _print_lines(checks: list[Check]) -> None:
    """The table without a terminal: nothing is wrapped, and no line ends in blanks."""
    width = max(len(check.name) for check in checks)
    for check in checks:
        print(f"{check.status:8}  {check.name:{width}}  {check.detail}")
        if check.remedy:
            print(f"{'':8}  {'':{width}}  -> {check.remedy}")


def _print_table(checks: list[Check]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    colours = {"ok": "green", "optional": "cyan", "info": "cyan", "broken": "red"}
    table = Table("", "what", "found", box=None)
    for check in checks:
        found = Text(check.detail)
        if check.remedy:
            found.append(f"\n-> {check.remedy}")
        table.add_row(Text(check.status, style=colours[check.status]), Text(check.name), found)
    Console().print(table)
