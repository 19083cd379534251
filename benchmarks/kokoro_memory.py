"""Resident memory of the server: after its start, at one long text, and over many texts of random length.

    python -m benchmarks.kokoro_memory [--model FILE --voices FILE] [--precision bf16] [--requests N] [--json FILE]

RSS and USS of the server's whole process tree, sampled from outside. The slope over the requests is that of the second
half (Theil-Sen, with its 95 % interval): what is still growing when every size has been seen.
"""

from __future__ import annotations

import argparse
import math
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import uvloop
from benchmarks.report import Report
from benchmarks.serve import serve
from benchmarks.vs_peers import ours
from benchmarks.vs_peers.listen import WARMUP_LENGTHS, Answer, Listener
from benchmarks.vs_peers.peers import as_target
from benchmarks.vs_peers.texts import Texts

from firstaudio.bench.machine.resources import MB, Sample, ServerResources, uss_slope
from firstaudio.stats.sample import theil_sen

SHORTEST, LONGEST = 15, 800  # characters of the random texts: as many between 15 and 109 as between 109 and 800


Hear = Callable[[int, int], Awaitable[Answer]]  # length in characters, number


def hearing(listener: Listener, texts: Texts, options: argparse.Namespace) -> Hear:
    """Every answer is held to what was asked for."""

    async def hear(length: int, number: int = 0) -> Answer:
        answer = await listener.hear(texts.take(length), length, number)
        if answer.error:
            raise RuntimeError(f"{length} characters: {answer.error}")
        if options.engine == "kokoro":
            ours.check(options.precision, options.decode, answer)
        return answer

    return hear


def row(what: str, samples: Sequence[Sample], audio_s: float) -> dict[str, Any]:
    uss = [sample.uss for sample in samples if sample.uss is not None]
    return {
        "": what,
        "audio s": audio_s,
        "RSS before MB": samples[0].rss / MB,
        "RSS peak MB": max(sample.rss for sample in samples) / MB,
        "RSS after MB": samples[-1].rss / MB,
        "USS peak MB": max(uss) / MB if uss else math.nan,
    }


def rss_slope(samples: Sequence[Sample]) -> dict[str, float]:
    """MB per 1000 requests, over the second half; empty where that is too short for a line."""
    half = samples[len(samples) // 2 :]
    line = theil_sen([sample.served / 1000 for sample in half], [sample.rss / MB for sample in half])
    ends = {"": line.value, "_low": line.low, "_high": line.high} if line else {}
    return {f"rss_slope{end}_mb_per_1000": value for end, value in ends.items()}


def log_uniform(draw: random.Random) -> int:
    return round(math.exp(draw.uniform(math.log(SHORTEST), math.log(LONGEST))))


async def run(options: argparse.Namespace) -> dict[str, Any]:
    chosen = ours.settings(options, options.model, options.voices, options.precision)
    ours.be_judged(chosen)
    draw, rows, all_heard = random.Random(1), [], []
    with serve(*ours.flags(chosen)) as server:
        listener = Listener(as_target("firstaudio", server.url))
        hear = hearing(listener, Texts(seed=1), options)
        with ServerResources(server.pid, lambda: 0) as start:
            heard = [await hear(length, 0) for length in WARMUP_LENGTHS]
        rows.append(row("first requests", start.samples, total_s(heard)))
        with ServerResources(server.pid, lambda: 0) as long:
            all_heard += (heard := [await hear(options.chars, 0)])
        rows.append(row(f"{options.chars} characters", long.samples, total_s(heard)))
        heard = []
        with ServerResources(server.pid, lambda: len(heard)) as many:
            for number in range(options.requests):
                heard.append(await hear(log_uniform(draw), number))
        rows.append(row(f"{options.requests} random texts", many.samples, total_s(heard)))
        await listener.close()
    ran = sorted({ours.what_ran(answer.decode, answer.runtime) for answer in (*all_heard, *heard)})
    return {"ran": ran, "rows": rows, "slope": {**rss_slope(many.samples), **uss_slope(many.samples)}}


def total_s(heard: Sequence[Answer]) -> float:
    return sum(answer.figures["audio_s"] for answer in heard)


def main() -> None:
    options = ours.arguments(__doc__, chars=5000, requests=200)
    result = uvloop.run(run(options))
    title = f"resident memory: {options.engine}, {'; '.join(result['ran'])}, one client"
    report = Report(title, "memory does not depend on what others do")
    report.rows(result["rows"])
    report.figures({name: math.nan if figure is None else figure for name, figure in result["slope"].items()})
    report.save(options.json, {"precision": options.precision, **result})


if __name__ == "__main__":
    main()
