"""From flags to what the harness wants: a target, a setup, run options. Input is judged here, before anything runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from firstaudio.bench.modes.setup import DEFAULT_LEVELS, PLANS, Setup
from firstaudio.bench.spec import KINDS, Delivery, TargetSpec
from firstaudio.bench.targets.make import make_target, parse_target
from firstaudio.bench.texts import TextSource
from firstaudio.bench.workload import TEXT_CLASSES, Goals, Texts
from firstaudio.cli.bench.judge import UsageError, usage

ARRIVALS = ("closed", "poisson", "constant", "ramp")
PACED = ("elevenlabs", "wyoming")
CONTAINERS = ("wav", "pcm", "mp3", "opus", "aac", "flac")
MAX_CONCURRENCY = 4096
OPEN_LOOP_CLIENTS = 256  # that wait for requests to become due; a slow target may have as many in flight


def target(flags: SimpleNamespace, url: str | None = None) -> TargetSpec:
    """The specification of the target, which can be made. Raises UsageError."""
    url = url or flags.url
    if not url:
        raise UsageError("--url is missing: the server to measure, as --url http://127.0.0.1:8000")
    if flags.kind is not None and flags.kind not in KINDS:
        raise UsageError(f"--kind {flags.kind} is not known; use one of {', '.join(KINDS)}")
    if flags.format not in CONTAINERS:
        raise UsageError(f"--format {flags.format} is not known; use one of {', '.join(CONTAINERS)}")
    with usage():
        spec = _spec(flags, url)
        make_target(spec)  # connects to nothing yet
    if flags.tokens_per_s is not None and spec.kind not in PACED:
        raise UsageError(f"--tokens-per-s is for {' and '.join(PACED)}: kind {spec.kind} takes a text whole")
    return spec


def _spec(flags: SimpleNamespace, url: str) -> TargetSpec:
    spec = parse_target(
        f"{flags.kind}:{url}" if flags.kind and not url.startswith("cmd:") else url,
        path=flags.path,
        method=flags.method,
        body=_json(flags.body),
        audio=flags.audio,
        token=flags.token,
        headers=dict(_header(text) for text in flags.header),
        model=flags.model,
        delivery=_delivery(flags),
        container=flags.format,
        sample_rate=flags.sample_rate,
        tokens_per_s=flags.tokens_per_s,
        connections="cold" if flags.cold else "warm",
        timeout_s=flags.timeout,
        verify_tls=not flags.insecure,
    )
    place = spec.url.partition("://")[2].rstrip("/")
    return spec.replace(name=spec.name or place or Path(*spec.command[:1]).name or spec.kind)


def setup(flags: SimpleNamespace, spec: TargetSpec) -> Setup:
    """Everything else that the flags say about what is measured. Raises UsageError."""
    if flags.arrival not in ARRIVALS:
        raise UsageError(f"--arrival {flags.arrival} is not known; use one of {', '.join(ARRIVALS)}")
    if flags.arrival != "closed" and not flags.rate:
        raise UsageError(f"--arrival {flags.arrival} needs --rate, in requests per second")
    if not flags.concurrency or not all(1 <= level <= MAX_CONCURRENCY for level in flags.concurrency):
        raise UsageError(f"--concurrency takes levels from 1 to {MAX_CONCURRENCY}")
    if flags.arrival == "closed" and flags.rate is not None:
        raise UsageError("--rate is for open loops: add --arrival poisson, constant or ramp")
    if (flags.arrival == "ramp") != (flags.start_rate is not None):
        raise UsageError("--arrival ramp and --start-rate belong together, with --rate as the end")
    voices = tuple(flags.voices) or ((flags.voice,) if flags.voice else ())
    wish = Setup(
        target=spec,
        voices=voices,
        levels=_levels(flags),
        requests=_requests(flags),
        texts=_texts(flags),
        arrival=flags.arrival,
        rate_per_s=flags.rate,
        start_rate_per_s=flags.start_rate,
        duration_s=flags.duration,
        think_s=max(0.0, flags.think),
        warmup=flags.warmup,
        speed=flags.speed,
        goals=Goals(ttfa_ms=flags.ttfa_target, buffer_ms=flags.buffer),
        voice_tests=flags.voice_tests,
        speed_tests=flags.speed_tests,
    )
    with usage():
        TextSource.of(wish.cell("texts"))  # there are some
    return wish


def _levels(flags: SimpleNamespace) -> tuple[int, ...]:
    """As given; an open loop that says nothing of it may have many requests in flight."""
    if flags.arrival != "closed" and tuple(flags.concurrency) == DEFAULT_LEVELS:
        return (OPEN_LOOP_CLIENTS,)
    return tuple(dict.fromkeys(flags.concurrency))


def _requests(flags: SimpleNamespace) -> int:
    if flags.iterations is not None:
        if flags.iterations < 1:
            raise UsageError("--iterations must be 1 or more")
        return int(flags.iterations)
    plan = flags.plan or "standard"
    if plan not in PLANS:
        raise UsageError(f"--plan {plan} is not known; use one of {', '.join(PLANS)}")
    return PLANS[plan]


def _texts(flags: SimpleNamespace) -> Texts:
    for name in flags.text_class:
        if name not in TEXT_CLASSES:
            raise UsageError(f"--text-class {name} is not known; use {', '.join(TEXT_CLASSES)}")
    custom = [*flags.text, *(_lines(Path(flags.text_file)) if flags.text_file else [])]
    if any(not text.strip() for text in flags.text):
        raise UsageError("--text is empty: there would be nothing to speak")
    return Texts(
        classes=tuple(flags.text_class),
        language=flags.language,
        custom=tuple(custom),
        unique=not custom,
        seed=flags.seed,
    )


def _lines(path: Path) -> Sequence[str]:
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text") from error
    except OSError as error:
        raise UsageError(f"--text-file {path} cannot be read: {error.strerror}") from error
    if not lines:
        raise UsageError(f"{path} holds no text: one text per line is wanted")
    return lines


def _json(body: str | None) -> dict[str, Any] | None:
    if body is None:
        return None
    try:
        found = json.loads(body)
    except ValueError as error:
        raise UsageError(f'--body is not JSON ({error}); write it as --body \'{{"text": "{{text}}"}}\'') from error
    if not isinstance(found, dict):
        raise UsageError("--body must be a JSON object")
    return found


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip() or any(c in text for c in "\r\n"):
        raise UsageError(f"--header {text!r} must look like 'Name: value'")
    return name.strip(), value.strip()


def _delivery(flags: SimpleNamespace) -> Delivery:
    if flags.sse:
        if flags.streaming is False:
            raise UsageError("--sse streams: leave out --no-streaming")
        return "sse"
    return "whole" if flags.streaming is False else "stream"
