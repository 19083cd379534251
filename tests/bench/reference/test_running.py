"""Reference servers start, say why they do not, and never stay behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.request

import psutil
import pytest

from firstaudio.bench.reference import NULL, Figures, running
from firstaudio.errors import BenchError

START_AND_WAIT = """
import sys
from firstaudio.bench.reference import running
with running() as server:
    print(server.url, flush=True)
    sys.stdin.read()
"""


def test_it_runs_as_stated_and_is_gone_after_the_block():
    with running(NULL, capacity=3) as server:
        with urllib.request.urlopen(server.url + "/health", timeout=5) as response:
            assert response.status == 200
        assert server.figures == Figures(ttfa_ms=0, rtf=0, capacity=3)
        assert (server.ws_url, server.wyoming_url) == ("", "")

    assert not psutil.pid_exists(server.pid)


def test_it_is_gone_after_an_exception_too():
    with pytest.raises(RuntimeError), running() as server:
        raise RuntimeError

    assert not psutil.pid_exists(server.pid)


def test_it_does_not_survive_a_parent_that_is_killed():
    parent = subprocess.Popen(
        [sys.executable, "-c", START_AND_WAIT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    host, port = parent.stdout.readline().strip().removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        parent.send_signal(signal.SIGKILL)
        parent.communicate()

        assert connection.recv(1) == b""  # closed: by the server's end, for it never hangs up on a silent client


def test_a_port_in_use_is_told():
    with running(NULL) as server:
        port = int(server.url.rpartition(":")[2])
        with pytest.raises(BenchError, match=r"did not start: .*address already in use"), running(NULL, port=port):
            pass


def test_a_figure_out_of_range_starts_nothing():
    before = set(psutil.Process(os.getpid()).children())
    with pytest.raises(BenchError, match="rtf of a reference server must be at least 0, not -1"), running(rtf=-1):
        pass

    assert set(psutil.Process(os.getpid()).children()) <= before
