"""Resident memory of the server while it streams 100 000 characters to a slow reader.

    python benchmarks/memory.py [--chars 100000] [--seconds 30] [--json FILE]

The reader takes one chunk (at most 200 ms of audio) every 100 ms, about twice the pace of speech, for `--seconds`,
then goes away; the figure is the growth of the server's process tree from just before the request to its peak.
"""

from __future__ import annotations

import asyncio
from typing import Any

from client import Connection
from report import Report, arguments
from serve import Server, serve


async def watch(server: Server, peak: list[float]) -> None:
    while True:
        peak[0] = max(peak[0], server.rss_mb())
        await asyncio.sleep(0.1)


async def run(server: Server, chars: int, seconds: int) -> dict[str, Any]:
    connection = Connection(server.url)
    text = "The reader is slow, and the text is long. " * (chars // 42)
    await connection.speech(input=text[:2000], voice="af_heart", response_format="pcm")
    before = server.rss_mb()
    peak = [before]
    watcher = asyncio.create_task(watch(server, peak))
    response = await connection.speech(
        read_delay_s=0.1, max_bytes=seconds * 96_000, input=text, voice="af_heart", response_format="pcm"
    )
    watcher.cancel()
    assert response.status == 200, bytes(response.body[:300])
    await connection.close()
    return {
        "characters": len(text),
        "seconds": seconds,
        "before MB": before,
        "peak MB": peak[0],
        "growth MB": peak[0] - before,
        "read MB": sum(response.sizes) / 1e6,
    }


def main() -> None:
    options = arguments(__doc__, chars=100_000, seconds=30)
    with serve("--max-input-chars", "100000") as server:
        result = asyncio.run(run(server, options.chars, options.seconds))
    report = Report("memory while streaming to a slow reader", "memory does not depend on what others do")
    report.rows([result])
    report.save(options.json, result)


if __name__ == "__main__":
    main()
