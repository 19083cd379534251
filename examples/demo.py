"""Start the server on the embedded engine, speak a text into a file, measure what a listener would hear, print it.

Run by `make demo`; `python examples/demo.py [--out FILE] [TEXT]` by hand. The exit code is 1 when a stream stalled.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from firstaudio.audio.onset import find_onset
from firstaudio.audio.playback import preroll_needed_ns, time_to_gapless_play_ns

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from client import Connection, Response
from serve import serve

RATE = 24_000  # of `pcm`
TEXTS = {
    "short": "Hello, and welcome.",
    "medium": "This server starts to speak as soon as it has the first clause, and it keeps ahead of you from then on.",
    "long": "A listener never waits for the end of a text. " * 100,
}
REPEATS = 9
GREETING = (
    "Hello! You are listening to firstaudio. By the time you read this line, "
    "the first words had long been on their way."
)


class Heard:
    """What a player that starts at once makes of one response of raw pcm."""

    def __init__(self, response: Response) -> None:
        if response.status != 200 or not response.complete:
            raise SystemExit(f"the server answered {response.status}: {bytes(response.body[:300])!r}")
        self.pcm = np.frombuffer(response.body, np.int16)
        durations = [size * 1_000_000_000 // (2 * RATE) for size in response.sizes]
        self.ttfa_ms = response.ttfb_ms  # pcm has no header: the first byte is audio
        self.audio_s = len(self.pcm) / RATE
        self.rtf = (response.arrivals_ns[-1] - response.sent_ns) / 1e9 / self.audio_s
        self.ttgp_ms = time_to_gapless_play_ns(response.arrivals_ns, durations, response.sent_ns) / 1e6
        self.preroll_ms = preroll_needed_ns(response.arrivals_ns, durations) / 1e6
        onset = find_onset(self.pcm, RATE)
        if onset is None:
            raise SystemExit("the server sent silence")
        ends = np.cumsum(response.sizes) // 2
        arrival_ns = response.arrivals_ns[int(np.searchsorted(ends, onset, side="right"))]
        first_ns = response.arrivals_ns[0]
        self.audible_ms = max(self.ttfa_ms + onset / RATE * 1000, self.ttfa_ms + (arrival_ns - first_ns) / 1e6)


async def measure(url: str, text: str) -> tuple[bytes, Table, int]:
    """`text` as WAV, the table of what was heard, and the number of responses that would have stalled."""
    connection = Connection(url)
    await connection.speech(input="Warm up the connection.", voice="af_heart", response_format="pcm")
    table = Table(title=f"what a listener on this machine hears (median of {REPEATS} requests)")
    for column in ("text", "characters", "audio s", "TTFA ms", "audible ms", "TTGP ms", "RTF", "stalled"):
        table.add_column(column, justify="left" if column == "text" else "right")
    stalled = 0
    for name, sample in TEXTS.items():
        heard = [
            Heard(await connection.speech(input=sample, voice="af_heart", response_format="pcm"))
            for _ in range(REPEATS)
        ]
        stalls = sum(one.preroll_ms > 0 for one in heard)
        stalled += stalls
        figures = [
            statistics.median(getattr(h, n) for h in heard) for n in ("audio_s", "ttfa_ms", "audible_ms", "ttgp_ms")
        ]
        rtf = statistics.median(h.rtf for h in heard)
        table.add_row(name, str(len(sample)), *(f"{f:.1f}" for f in figures), f"{rtf:.4f}", f"{stalls} of {REPEATS}")
    spoken = await connection.speech(input=text, voice="af_heart", response_format="wav", stream=False)
    await connection.close()
    return bytes(spoken.body), table, stalled


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("text", nargs="?", default=GREETING)
    parser.add_argument("--out", type=Path, default=Path("demo.wav"))
    arguments = parser.parse_args()
    with serve("--engine-names", "espeak") as server:
        wav, table, stalled = asyncio.run(measure(server.url, arguments.text))
    arguments.out.write_bytes(wav)
    console = Console(width=100)
    console.print(table)
    console.print("TTFA: request sent to first audio byte. Audible: to the first sound for someone who plays at once.")
    console.print("TTGP: earliest press of play that never stalls. RTF: time for the whole answer over its audio.")
    console.print(f"{arguments.out}: {arguments.text[:200]!r}")
    sys.exit(1 if stalled else 0)


if __name__ == "__main__":
    main()
