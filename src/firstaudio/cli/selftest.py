"""`firstaudio selftest`: one run through everything that the server says of its speed, and whether it is true."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from firstaudio.cli.options import ConfigOption, EngineOption, JsonOption, TokenOption, load_with
from firstaudio.errors import ConfigError

if TYPE_CHECKING:
    from firstaudio.cli.selftest_checks import Findings
    from firstaudio.cli.selftest_speech import SelfTestClient

# Nothing but the test shall happen there, and nobody shall be told of it.
QUIET = ("--schedule-every", "off", "--schedule-webhook-url", "", "--telemetry-webhook-url", "", "--no-tuner-enabled")


class Benchmark(StrEnum):
    """What the server measures of itself."""

    TTFA = "ttfa"
    STREAMING = "streaming"
    FULL = "full"
    NONE = "none"


def selftest(
    url: Annotated[
        str | None, typer.Option("--url", help="The server to test; default: one of its own, that ends with the test.")
    ] = None,
    token: TokenOption = None,
    benchmark: Annotated[
        Benchmark, typer.Option(help="What the server runs of itself; ttfa is the shortest.")
    ] = Benchmark.TTFA,
    engine: EngineOption = None,
    config: ConfigOption = None,
    json_: JsonOption = False,
) -> None:
    """Test a server from end to end: speed, streaming, whole texts, advice.

    Measures time to first audio inside and outside, follows long texts word by word, lets the server benchmark
    itself, and prints its assessment. Exit codes: 1 something failed, 3 no server, 99 a target was missed.
    """
    from firstaudio.cli.selftest_checks import self_test
    from firstaudio.cli.selftest_report import as_text

    if url is not None and engine is not None:
        raise ConfigError("--engine is for a server of our own; leave it away with --url")
    if url is None and token is not None:
        raise ConfigError("--token is for a server that is there: name it with --url")
    kind = None if benchmark is Benchmark.NONE else benchmark.value
    with _client(url, token, engine, config) as client:
        found = self_test(client, kind, url is None, _say)
    print(_as_json(found) if json_ else as_text(found))
    raise typer.Exit(found.exit_code)


@contextmanager
def _client(url: str | None, token: str | None, engine: str | None, config: Path | None) -> Iterator[SelfTestClient]:
    """Of the server that is there, or of one that is started for it; its state is thrown away."""
    from firstaudio.cli.client import key_for
    from firstaudio.cli.selftest_server import own_server
    from firstaudio.cli.selftest_speech import SelfTestClient

    server = load_with(config, engine=engine).server
    if url is not None:
        yield SelfTestClient(url, key_for(token, server), run="selftest")
        return
    with tempfile.TemporaryDirectory(prefix="firstaudio-selftest-") as state:
        flags = [*QUIET, "--telemetry-enabled", "--telemetry-state-folder", state]
        flags += ["--config", str(config)] if config else []
        flags += ["--engine", engine] if engine else []
        _say("starting a server")
        with own_server(flags) as own_url:
            yield SelfTestClient(own_url, server.api_keys[0] if server.api_keys else None)


def _as_json(found: Findings) -> str:
    told = {"passed": found.exit_code == 0, "exit_code": found.exit_code, **asdict(found)}
    return json.dumps(told, indent=2, ensure_ascii=False)


def _say(line: str) -> None:
    print(f"  {line}", file=sys.stderr, flush=True)
