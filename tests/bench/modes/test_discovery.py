from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from firstaudio.bench.machine import environment
from firstaudio.bench.modes.discovery import DEFAULT_NUM_VOICES, run_discovery, voices_of, with_default_voices
from firstaudio.bench.modes.setup import Setup
from firstaudio.bench.progress import Silent
from firstaudio.bench.reference import ReferenceServer, running
from firstaudio.bench.run import RunOptions
from firstaudio.bench.sessions.store import load_session
from firstaudio.bench.spec import TargetSpec

VOICES = ("alto", "tenor", "slow10")


@pytest.fixture(scope="module")
def server() -> Iterator[ReferenceServer]:
    with running(ttfa_ms=1.0, rtf=0.0, sample_rate=8000) as reference:
        yield reference


@pytest.fixture
def options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunOptions:
    monkeypatch.setattr(environment, "others_cpu_share", lambda _: 0.0)
    return RunOptions(tmp_path, "found", reports=False)


async def test_what_a_server_offers_is_kept(server: ReferenceServer, options: RunOptions):
    session, files = await run_discovery(server.url, None, 10.0, options, Silent())
    found = load_session("found", options.output_dir).findings["discovery"]

    assert (session.mode, session.valid, files) == ("discover", True, [])
    assert tuple(found["voices"]) == VOICES
    assert all(endpoint["works"] for endpoint in found["endpoints"] if endpoint["path"] == "/v1/audio/speech")


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "tcp://127.0.0.1:1"])
async def test_a_server_that_is_not_there_is_kept_as_such(url: str, options: RunOptions):
    session, _ = await run_discovery(url, None, 10.0, options, Silent())

    assert session.findings["preflight"]["kind"] == "unreachable"
    assert not session.valid
    assert "discovery" not in load_session("found", options.output_dir).findings


async def test_a_server_that_does_not_answer_in_time_is_kept_as_such(options: RunOptions):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        session, _ = await run_discovery(f"http://127.0.0.1:{silent.getsockname()[1]}", None, 0.05, options, Silent())

    assert session.findings["preflight"]["kind"] == "timeout"


async def test_the_first_voices_stand_in_for_those_that_nobody_named(server: ReferenceServer):
    spec = TargetSpec("openai", url=server.url)

    assert await voices_of(spec, 10.0) == VOICES
    assert (await with_default_voices(Setup(spec))).voices == VOICES[:DEFAULT_NUM_VOICES]
    assert (await with_default_voices(Setup(spec, voices=("mine",)))).voices == ("mine",)


@pytest.mark.parametrize("url", ["", "ws://127.0.0.1:1", "tcp://127.0.0.1:1"])
async def test_what_is_not_asked_over_http_lists_no_voices(url: str):
    assert await voices_of(TargetSpec("command", url=url), 1.0) == ()
