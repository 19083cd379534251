"""What the server adds to the engine, and whether TTFA grows with the text.

    python benchmarks/added_latency.py [--rounds N] [--json FILE]

Interleaved in one run: the bare espeak worker's first chunk, then the same text over HTTP (pcm, loopback, one warm
connection). Then first audio and first sound for texts of 5 to 100 000 characters.
"""

from __future__ import annotations

import asyncio
import statistics
from typing import Any

import numpy as np

from client import Connection, Response
from firstaudio.audio.onset import find_onset
from firstaudio.clock import now_ns
from firstaudio.config import Config
from firstaudio.engines.base import SpeakRequest
from firstaudio.engines.espeak.engine import EspeakEngine
from report import Report, arguments, quiet
from serve import serve

LENGTHS = (5, 50, 500, 5_000, 50_000, 100_000)
RATE = 24_000
SENTENCE = "Round {n}: the server begins to speak as soon as it has the first clause, and goes on from there."


def bare_first_chunk_ms(engine: EspeakEngine, text: str) -> float:
    voice, language = engine.resolve("af_heart", None)
    begin = now_ns()
    steps = engine.steps(engine.prepare(SpeakRequest(text, voice, language)))
    next(steps)
    took = (now_ns() - begin) / 1e6
    for _ in steps:
        pass
    return took


def text_of(length: int, number: int) -> str:
    """A text of exactly `length` characters, different for each number."""
    text = f"N{number} " + "the quick brown fox jumps over the lazy dog, and it runs away. " * (length // 60 + 1)
    return text[:length]


def audible_ms(response: Response) -> float:
    """When someone who plays at once hears something, in ms after the request was sent."""
    pcm = np.frombuffer(response.body, np.int16)
    onset = find_onset(pcm[: 5 * RATE], RATE)
    assert onset is not None, "silence"
    index = int(np.searchsorted(np.cumsum(response.sizes) // 2, onset, side="right"))
    return max(response.ttfb_ms + onset / RATE * 1e3, (response.arrivals_ns[index] - response.sent_ns) / 1e6)


async def run(rounds: int) -> dict[str, Any]:
    engine = EspeakEngine(Config())
    engine.start()
    result: dict[str, Any] = {}
    with serve("--max-input-chars", "100000") as server:
        connection = Connection(server.url)
        bare, http, heard = [], [], []
        for n in range(rounds + 5):
            text = SENTENCE.format(n=n)
            bare.append(bare_first_chunk_ms(engine, text))
            response = await connection.speech(input=text, voice="af_heart", response_format="pcm")
            assert response.complete
            http.append(response.ttfb_ms)
            heard.append(audible_ms(response))
        added = [h - b for h, b in zip(http[5:], bare[5:], strict=True)]
        result["added_latency_ms"] = {
            "bare worker, first chunk": statistics.median(bare[5:]),
            "HTTP TTFA": statistics.median(http[5:]),
            "HTTP audible": statistics.median(heard[5:]),
            "added (paired, median)": statistics.median(added),
            "added (paired, p95)": float(np.percentile(added, 95)),
            "rounds": rounds,
        }
        result["by_length"] = await by_length(connection, max(5, rounds // 10))
        await connection.close()
    engine.close()
    return result


async def by_length(connection: Connection, rounds: int) -> list[dict[str, float]]:
    rows: dict[int, list[tuple[float, float]]] = {length: [] for length in LENGTHS}
    for n in range(rounds):
        for length in LENGTHS:  # interleaved
            first = await first_audio(connection, text_of(length, n))
            rows[length].append(first)
    return [
        {
            "characters": length,
            "TTFA ms": statistics.median(ttfa for ttfa, _ in measured),
            "audible ms": statistics.median(audible for _, audible in measured),
            "audible max ms": max(audible for _, audible in measured),
        }
        for length, measured in rows.items()
    ]


async def first_audio(connection: Connection, text: str) -> tuple[float, float]:
    """TTFA and audible TTFA in ms; a long answer is cut off after its first two seconds."""
    response = await connection.speech(max_bytes=4 * RATE, input=text, voice="af_heart", response_format="pcm")
    assert response.status == 200
    return response.ttfb_ms, audible_ms(response)


def main() -> None:
    options = arguments(__doc__, rounds=200)
    result, others = quiet(lambda: asyncio.run(run(options.rounds)))
    report = Report("added latency: espeak, pcm, loopback, one warm connection", others)
    report.figures(result["added_latency_ms"])
    report.rows(result["by_length"])
    report.save(options.json, result)


if __name__ == "__main__":
    main()
