"""Resident memory of the server while it streams 100 000 characters to a slow reader.

    python benchmarks/memory.py [--chars 100000] [--seconds 30] [--json FILE]

The reader takes 200 ms of audio every 100 ms, about twice the pace of speech, for `--seconds`, then goes away; the
figure is the growth of the server's process tree from just before the request to its peak.
"""

from __future__ import annotations

import asyncio
import socket
import time
from typing import Any

from firstaudio.bench.harness import speak_once
from firstaudio.bench.machine.resources import MB, ServerResources
from firstaudio.bench.targets.openai import make
from firstaudio.bench.utterance import Utterance
from report import Report, arguments
from serve import Server, serve

STEP_BYTES = 9600  # 200 ms of pcm
INTERVAL_S = 0.1
BUFFER_BYTES = 16384  # or the kernel would read ahead for us by megabytes


def read_slowly(server: Server, text: str, seconds: int) -> int:
    """Bytes of the answer that were read, its head included."""
    asker, _ = make(server.spec())
    num_bytes, end = 0, time.monotonic() + seconds
    with socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        reader.connect((asker.origin.host, asker.origin.port))
        reader.sendall(asker.request(Utterance(text)))
        while time.monotonic() < end:
            data = reader.recv(STEP_BYTES, socket.MSG_WAITALL)
            assert num_bytes or data.startswith(b"HTTP/1.1 200 "), data[:300]
            assert len(data) == STEP_BYTES, f"the answer ended after {num_bytes + len(data)} bytes: use a longer text"
            num_bytes += len(data)
            time.sleep(INTERVAL_S)
    return num_bytes


def run(server: Server, chars: int, seconds: int) -> dict[str, Any]:
    text = "The reader is slow, and the text is long. " * (chars // 42)
    asyncio.run(speak_once(server.spec(), text[:2000]))
    with ServerResources(server.pid, lambda: 0, INTERVAL_S) as server_side:
        num_bytes = read_slowly(server, text, seconds)
    rss_mb = [sample.rss / MB for sample in server_side.samples]
    return {
        "characters": len(text),
        "seconds": seconds,
        "before MB": rss_mb[0],
        "peak MB": max(rss_mb),
        "growth MB": max(rss_mb) - rss_mb[0],
        "read MB": num_bytes / MB,
    }


def main() -> None:
    options = arguments(__doc__, chars=100_000, seconds=30)
    with serve("--max-input-chars", "100000") as server:
        result = run(server, options.chars, options.seconds)
    report = Report("memory while streaming to a slow reader", "memory does not depend on what others do")
    report.rows([result])
    report.save(options.json, result)


if __name__ == "__main__":
    main()
