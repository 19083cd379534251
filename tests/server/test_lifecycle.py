"""The server as a process: signals, drain, exit codes."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from urllib.request import urlopen

import pytest

from firstaudio.config import Config
from firstaudio.server.lifecycle import listen, run_server, url_of

SCRIPT = """
import sys
from firstaudio.config import Config, EngineConfig, ServerConfig, SyntheticConfig
from firstaudio.server.lifecycle import run_server
sys.exit(run_server(Config(
    server=ServerConfig(port={port}, drain_timeout_s={drain_s}),
    engine=EngineConfig(names=("synthetic",), default_voice="alloy"),
    synthetic=SyntheticConfig(ttfa_ms=1.0, rtf={rtf}),
)))
"""
SLOW = """
import threading
from functools import partial
from firstaudio.engines.synthetic import SyntheticEngine
from firstaudio.server import lifecycle, logs
from firstaudio.synthesis.narration import Patience, narrated

told = threading.Event()
say, start = logs.say, SyntheticEngine.start

def heard(message, log_format):
    say(message, log_format)
    if "synthetic" in message:
        told.set()

def slow(self):
    assert told.wait(20)
    start(self)

logs.say, SyntheticEngine.start = heard, slow
lifecycle.narrated = partial(narrated, patience=Patience(quiet_s=0.0, interval_s=0.0))
"""
ENOUGH_TIME = 20.0


class Process:
    """A server process and its address."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self._process, self._port = process, port

    def ask(self, text: str) -> socket.socket:
        body = f'{{"input": "{text}", "response_format": "pcm"}}'.encode()
        head = f"POST /v1/audio/speech HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        connection = socket.create_connection(("127.0.0.1", self._port), timeout=ENOUGH_TIME)
        connection.sendall(head.encode() + body)
        return connection

    def send(self, sig: signal.Signals) -> None:
        os.kill(self._process.pid, sig)

    def accepts(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self._port), timeout=ENOUGH_TIME).close()
        except OSError:
            return False
        return True

    def scheduler(self) -> dict[str, Any]:
        """What the scheduler of the only engine has done and does."""
        with urlopen(f"http://127.0.0.1:{self._port}/status", timeout=ENOUGH_TIME) as answer:
            return json.load(answer)["engines"][0]["scheduler"]

    def stands(self) -> bool:
        """Whether its stream waits for its reader, who takes nothing."""
        before, after = self.scheduler(), self.scheduler()
        nothing_new = all(before[name] == after[name] for name in ("num_steps", "unread_s"))
        return nothing_new and after["num_parked"] == 1

    def wait(self) -> int:
        return self._process.wait(ENOUGH_TIME)

    def read_errors(self) -> str:
        assert self._process.stderr is not None
        return self._process.stderr.read()


@contextmanager
def started(rtf: float = 0.0, drain_s: float = 10.0) -> Iterator[Process]:
    script = SCRIPT.format(port=0, drain_s=drain_s, rtf=rtf)
    process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        line = next(line for line in process.stderr if "starting, " not in line)  # a busy machine takes its time
        assert line.startswith("firstaudio: ready on http://127.0.0.1:"), line
        yield Process(process, int(line.rpartition(":")[2]))
    finally:
        process.kill()
        process.wait()
        process.stderr.close()  # type: ignore[union-attr]


def test_a_start_that_is_not_quick_tells_what_it_does_before_it_is_ready():
    script = SLOW + SCRIPT.format(port=0, drain_s=1.0, rtf=0.0)
    with subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            lines = [process.stderr.readline()]
            while lines[-1] and "ready on" not in lines[-1]:
                lines.append(process.stderr.readline())
        finally:
            process.kill()
    assert any(line.endswith(" s: starting the synthetic engine\n") for line in lines[:-1]), lines
    assert lines[-1].startswith("firstaudio: ready on ")


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_an_idle_server_with_exit_code_0(sig: signal.Signals):
    with started() as server:
        server.send(sig)
        assert server.wait() == 0
        assert "Traceback" not in server.read_errors()


def test_running_streams_finish_while_new_ones_are_not_accepted(tools: Any):
    with started(rtf=0.2) as server, server.ask("word " * 12) as running:
        data = tools.read_until(running, b"\r\n\r\n")
        server.send(signal.SIGTERM)
        tools.eventually(lambda: not server.accepts())
        data += tools.read_all(running)
        assert data.endswith(b"0\r\n\r\n")
        assert server.wait() == 0
        assert "Traceback" not in server.read_errors()


def test_streams_that_outlast_the_drain_are_broken_off(tools: Any):
    with started(rtf=1.0, drain_s=0.2) as server, server.ask("word " * 400) as running:
        tools.read_until(running, b"\r\n\r\n")
        server.send(signal.SIGTERM)
        assert not tools.read_all(running).endswith(b"0\r\n\r\n")
        assert server.wait() == 0
        assert "Traceback" not in server.read_errors()


def test_a_second_signal_does_not_wait(tools: Any):
    with started(rtf=1.0, drain_s=1000.0) as server, server.ask("word " * 400) as running:
        tools.read_until(running, b"\r\n\r\n")
        server.send(signal.SIGTERM)
        tools.eventually(lambda: not server.accepts())
        server.send(signal.SIGTERM)
        assert not tools.read_all(running).endswith(b"0\r\n\r\n")
        assert server.wait() == 0
        assert "Traceback" not in server.read_errors()


def test_a_stream_that_the_client_stopped_reading_does_not_hold_up_the_end(tools: Any):
    with started(drain_s=0.2) as server, server.ask("word " * 9_000) as idle:
        tools.read_until(idle, b"\r\n\r\n")
        tools.eventually(server.stands)
        server.send(signal.SIGTERM)
        assert server.wait() == 0
        log = server.read_errors()
        assert log.count("WARNING firstaudio.server cut off by the shutdown id=") == 1
        assert "ERROR" not in log


def test_a_port_in_use_is_exit_code_3_with_a_way_out(capfd: pytest.CaptureFixture[str]):
    with listen("127.0.0.1", 0) as taken:
        config = Config()
        port = taken.getsockname()[1]
        busy = replace(config, server=replace(config.server, port=port))
        assert run_server(busy) == 3
    assert f"cannot listen on 127.0.0.1:{port}" in capfd.readouterr().err


def test_a_host_that_does_not_exist_is_an_os_error():
    with pytest.raises(OSError, match=r".+"):
        listen("256.256.256.256", 0)


def test_small_chunks_leave_at_once():
    with listen("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP


def test_the_url_is_one_that_a_browser_takes():
    with listen("127.0.0.1", 0) as listener:
        assert url_of(listener) == f"http://127.0.0.1:{listener.getsockname()[1]}"
    if socket.has_ipv6:
        with listen("::1", 0) as listener:
            assert url_of(listener) == f"http://[::1]:{listener.getsockname()[1]}"
