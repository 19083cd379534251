"""Whether an A/B tells the truth: one server against itself, and against its own voice that is 10 % slower.

    python benchmarks/harness_ab.py [--sessions N] [--rounds N] [--requests N] [--json FILE]

Both sides are voices of one reference server (TTFA 80 ms with 2 ms of jitter, RTF 0.05). Equal sides must be called
"equivalent" or "inconclusive" in at least 19 of 20 sessions, and the voice "slow10" must be called "slower" in as many.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import uvloop

from firstaudio.bench.modes.ab import run_rounds, verdict
from firstaudio.bench.modes.setup import Setup
from firstaudio.bench.reference import Figures, running
from firstaudio.bench.run import Runner, RunOptions
from firstaudio.bench.spec import TargetSpec
from firstaudio.bench.workload import Texts, Workload
from report import Report, arguments, quiet

FIGURES = Figures(ttfa_ms=80, rtf=0.05, char_s=0.02, jitter_ms=2)
PAIRS = {"A/A": "alto", "10 % slower": "slow10"}
RIGHT = {"A/A": ("equivalent", "inconclusive"), "10 % slower": ("slower",)}


def setup(url: str, voice: str, name: str, seed: int) -> Setup:
    spec = TargetSpec("openai", url, name)
    return Setup(spec, voices=(voice,), levels=(1,), texts=Texts(("short",), seed=seed), warmup=4)


async def session(url: str, voice: str, seed: int, rounds: int, requests: int) -> dict[str, Any]:
    a, b = setup(url, "alto", "A", seed), setup(url, voice, "B", seed)
    with tempfile.TemporaryDirectory() as folder:
        runner = Runner(Workload("ab", ()), RunOptions(Path(folder), "ab", floor=False))
        try:
            return verdict(await run_rounds(runner, a, b, rounds, requests), a, b)
        finally:
            await runner.close()


def verdicts(pair: str, sessions: int, rounds: int, requests: int) -> Counter[str]:
    """How often each verdict was given; every session has a server, texts and jitter of its own."""
    found: Counter[str] = Counter()
    for seed in range(1, sessions + 1):
        with running(FIGURES, seed=seed) as server:
            found[uvloop.run(session(server.url, PAIRS[pair], seed, rounds, requests))["verdict"]] += 1
    return found


def main() -> None:
    options = arguments(__doc__, sessions=20, rounds=10, requests=4)
    rows = []
    for pair, right in RIGHT.items():
        found, others = quiet(
            lambda pair=pair: verdicts(pair, options.sessions, options.rounds, options.requests)  # type: ignore[misc]
        )
        num_right = sum(found[each] for each in right)
        rows.append(
            {
                "B is": pair,
                "right": f"{num_right} of {options.sessions}",
                "verdicts": dict(found),
                "ok": num_right >= 0.95 * options.sessions,
                "others": others,
            }
        )
    report = Report("A/B verdicts over a reference server, loopback", "others' share per row below")
    report.rows(rows)
    report.save(options.json, {"rows": rows})
    if not all(row["ok"] for row in rows):
        raise SystemExit("the A/B does not tell the truth often enough")


if __name__ == "__main__":
    main()
