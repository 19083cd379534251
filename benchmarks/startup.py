"""How long it takes from the start of the process until it speaks, and what that costs.

    python benchmarks/startup.py [--starts N] [--beside PYTHON] [--json FILE]

`firstaudio serve` (espeak, defaults) is started again and again, each time with a state folder of its own. Once it
accepts connections it is asked for /ready every 5 ms, over one connection; then for speech, at once. Seconds and
processor seconds count from the start of the process, the latter over its whole tree; two seconds after the answer
they are read again, so that nothing which was only put off looks like nothing. `import s` is processor time, too: that
of an interpreter which imports what the server is made of. Medians.

`--beside` names the interpreter of another environment in which firstaudio is installed, such as that of an earlier
version: both start in turns (ABBA), and the ratios are of this one to that one, paired by round: Hodges-Lehmann of the
log ratio, interval by bootstrap over rounds. An environment's first start compiles its modules and is not counted.
"""

from __future__ import annotations

import http.client
import json
import math
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from statistics import median
from typing import Any

import psutil

from firstaudio.stats.paired import bootstrap_rounds, hodges_lehmann
from report import Report, arguments, quiet

HOST = "127.0.0.1"
POLL_S = 0.005
LATER_S = 2.0
TIMEOUT_S = 60
IMPORTS = "import time, firstaudio.cli.main, firstaudio.server.lifecycle; print(time.process_time())"
SPEECH = {"input": "Here is the first sentence that anybody asked for, and it is not long.", "response_format": "pcm"}
Start = dict[str, float]


class Starting:
    """A server that was just started.

    Args:
        python: The interpreter of its environment.
        env: Its variables.
    """

    def __init__(self, python: str, env: dict[str, str]) -> None:
        port = free_port()
        self._begin_s = time.perf_counter()
        command = [python, "-m", "firstaudio.cli.main", "serve", "--port", str(port), "--log-level", "warning"]
        self.process = subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL)
        self._port = port

    @property
    def age_s(self) -> float:
        """Since the process was started."""
        return time.perf_counter() - self._begin_s

    @property
    def cpu_s(self) -> float:
        """Processor time of the process and of those that it has started."""
        root = psutil.Process(self.process.pid)
        tree = [root, *root.children(recursive=True)]
        return sum(times.user + times.system for times in (each.cpu_times() for each in tree))

    def connect(self) -> http.client.HTTPConnection:
        """Connected as soon as it accepts."""
        connection = http.client.HTTPConnection(HOST, self._port, timeout=TIMEOUT_S)
        while True:
            try:
                connection.connect()
            except ConnectionRefusedError:
                assert self.process.poll() is None, f"the server ended with {self.process.returncode}"
                assert self.age_s < TIMEOUT_S, "the server does not listen"
                time.sleep(POLL_S)
            else:
                return connection


def measure(python: str) -> Start:
    """One start."""
    with tempfile.TemporaryDirectory(prefix="firstaudio-start-") as folder, started(python, folder) as server:
        connection = server.connect()
        figures = {"accepts s": server.age_s}
        wait_until_ready(connection)
        figures |= {"ready s": server.age_s, "ready: CPU s": server.cpu_s}
        response = ask_for_speech(connection)
        figures["first audio s"] = server.age_s
        response.read()
        time.sleep(LATER_S)
        figures |= {"later: CPU s": server.cpu_s, "RSS MB": psutil.Process(server.process.pid).memory_info().rss / 1e6}
        connection.close()
    imports = subprocess.run([python, "-c", IMPORTS], env=environment(), capture_output=True, text=True, check=True)
    return figures | {"import s": float(imports.stdout)}


@contextmanager
def started(python: str, folder: str) -> Iterator[Starting]:
    server = Starting(python, environment() | {"XDG_STATE_HOME": folder})
    try:
        yield server
    finally:
        server.process.terminate()
        server.process.wait(TIMEOUT_S)


def environment() -> dict[str, str]:
    """Ours, but that a first start may keep what it compiled."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until_ready(connection: http.client.HTTPConnection) -> None:
    while True:
        connection.request("GET", "/ready")
        response = connection.getresponse()
        response.read()
        if response.status == http.client.OK:
            return
        time.sleep(POLL_S)


def ask_for_speech(connection: http.client.HTTPConnection) -> http.client.HTTPResponse:
    """An answer whose first bytes, which in pcm are audio, are here."""
    connection.request("POST", "/v1/audio/speech", json.dumps(SPEECH), {"Content-Type": "application/json"})
    response = connection.getresponse()
    assert response.status == http.client.OK, response.read()
    assert response.read(2)
    return response


def run(num_starts: int, pythons: Sequence[str]) -> dict[str, list[Start]]:
    for python in pythons:
        measure(python)
    starts: dict[str, list[Start]] = {python: [] for python in pythons}
    for number in range(num_starts):
        for python in pythons[:: 1 if number % 2 == 0 else -1]:
            starts[python].append(measure(python))
    return starts


def medians(python: str, starts: Sequence[Start]) -> dict[str, Any]:
    name = "this" if python == sys.executable else "beside"
    return {"": name, **{figure: median(start[figure] for start in starts) for figure in starts[0]}, "n": len(starts)}


def ratios(this: Sequence[Start], that: Sequence[Start]) -> Iterator[dict[str, Any]]:
    for figure in this[0]:
        rounds = [[math.log(a[figure] / b[figure])] for a, b in zip(this, that, strict=True)]
        low, high = bootstrap_rounds(rounds, seed=1)
        estimate = math.exp(hodges_lehmann([value for (value,) in rounds]))
        yield {"this / beside": figure, "ratio": estimate, "95 % from": math.exp(low), "to": math.exp(high)}


def main() -> None:
    options = arguments(__doc__, starts=10, beside="")
    pythons = [sys.executable, *([options.beside] if options.beside else [])]
    starts, others = quiet(lambda: run(options.starts, pythons))
    report = Report("from the start of the process to its first audio: espeak, pcm, loopback", others)
    report.rows(medians(python, each) for python, each in starts.items())
    result: dict[str, Any] = {"starts": starts}
    if options.beside:
        result["ratios"] = list(ratios(starts[sys.executable], starts[options.beside]))
        report.rows(result["ratios"])
    report.save(options.json, result)


if __name__ == "__main__":
    main()
