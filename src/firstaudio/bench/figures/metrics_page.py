"""The page docs/metrics.md, made from the table of metrics; `make docs` prints it there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from firstaudio.audio.onset import DEFAULT_ONSET
from firstaudio.bench.compare import rounds
from firstaudio.bench.figures import checks, fit, stats
from firstaudio.bench.figures.metrics import CELL_METRICS, EVENTS, REQUEST_METRICS, Metric

INTRODUCTION = """# Metrics

Made from `firstaudio.bench.figures.metrics`; do not edit. The same definitions are written into every session.

A request is one text and its answer. A cell is one condition (a concurrency, a voice, ...) with all its requests; its
*window* begins with the first measured dispatch (open loop: the first scheduled) and ends with the last stamp of the
last measured request. Warm-up requests, and those that the harness itself cancelled, count nowhere.

A failed request (error, timeout, or audio that is empty, silent, clipped, short, cut off or of the wrong format) is
infinitely slow where lower is better, 0 where higher is better, and a miss in every target. Metrics that are only
reported ("-") are over successes. A cell without a success has no totals: null, not 0; its success rate is 0.
"""

REMARKS = f"""## Names used elsewhere

- **Continuity** of playback is pre-roll needed (the buffer with which an answer plays without a gap), stalls, and
  the gapless share. The pre-roll curve gives for each buffer the share of requests that would play gapless.
- **Latency consistency** is the distribution of TTFA itself: p50, p95 and p99 with their intervals, beside it the check
  "stability" for drift over the window. There is no score for it.
- **Chunk cadence** (interval, audio per chunk, data rate) is reported and not scored: even chunks are no virtue.
- Stalls and streaming efficiency are those of a player that starts `buffer_ms` after the first audio and plays in real
  time; the buffer is stated with the goals.
- Onset: RMS window {1000 * DEFAULT_ONSET.window_s:g} ms, hop {1000 * DEFAULT_ONSET.hop_s:g} ms, mean removed, at
  least {DEFAULT_ONSET.threshold_dbfs:g} dBFS, sustained {1000 * DEFAULT_ONSET.sustained_s:g} ms.
"""

COMPARING = f"""## Comparing two targets

Interleaved rounds in one session, the same texts, paired by round and text. B is judged by A. A difference must
exceed {rounds.RELATIVE_FLOOR:.0%} *and* 5 ms (RTF: {rounds.ABSOLUTE_FLOORS["rtf"]:g}); over the median of A both make
one band.

| verdict | when |
|---|---|
| faster, slower | the estimate lies beyond the band, its 95 % interval leaves out "no difference", adjusted p < 0.05 |
| equivalent | the whole interval lies inside the band |
| inconclusive | anything else, or fewer than {rounds.MIN_ROUNDS} rounds; "run N more rounds" where that helps |

Gated are {", ".join(f"`{name}`" for name in rounds.ABSOLUTE_FLOORS)} and `success_rate`.
One slower gate makes B slower.
A pair of which one side failed counts as {rounds.FAILED_RATIO:g} times slower for that side; that one side fails more
often is told by the sign test over such pairs. Faults of sound void "faster". Two saved sessions are compared only if
machine, versions and workload are equal and both are VALID; a difference between them is "suspect" at most.

## Does it stream?

TTFA and latency are fitted over the number of characters. TTFA that grows by at most {fit.STREAMS_BELOW:.0%} of what
latency grows by (upper end of the interval): it streams. By at least {fit.WHOLE_ABOVE:.0%} (lower end): it synthesises
the whole text first. Otherwise it is unclear.
"""


def markdown() -> str:
    """The whole page."""
    parts = (
        INTRODUCTION,
        "## The life of one request\n",
        *_table(("event", "meaning"), ((f"`{name}`", text) for name, text in EVENTS.items())),
        "\n## Of a request\n",
        *_metrics(REQUEST_METRICS.values()),
        "\n## Of a cell\n",
        *_metrics(CELL_METRICS.values()),
        "\n" + REMARKS,
        "## Statistics\n",
        *_table(("what", "how"), stats.METHODS.items()),
        "\n## When a cell is INVALID\n",
        *_table(("check", "limit"), LIMITS),
        "\n" + COMPARING,
    )
    return "\n".join(parts)


LIMITS = (
    ("accounting", "issued = ok + failed + cancelled, and no request counts twice"),
    ("order of events", "scheduled <= dispatched <= sent <= first_byte <= first_sample <= TTGP <= last_byte"),
    (
        "Little's law",
        "ASPS x RTF of all audio, with connecting and failed requests beside it, is the number in flight counted "
        f"meanwhile, within {checks.LITTLE_TOLERANCE:.0%} and 0.05; below it also one request in flight per client, "
        "which the ends of the window cut off",
    ),
    ("samples", f"all that were planned, and at least {checks.DEMO_SAMPLES}; below 36 a warning"),
    ("success", f"at least one; below {checks.WANTED_SUCCESS:g} % a warning"),
    ("dispatch lag", f"p99 at most {checks.LAG_FLOOR_MS:g} ms, or {checks.LAG_SHARE:.0%} of the median TTFA if more"),
    (
        "stability",
        f"TTFA drifts by at most {checks.DRIFT_SHARE:.0%} of its median or {checks.DRIFT_FLOOR_MS:g} ms over the "
        f"window (Theil-Sen over the medians of {checks.NUM_PARTS} equal parts), or the interval holds no drift",
    ),
    ("client CPU", f"at most {checks.MAX_CLIENT_CPU:.0%} of a core in the busiest load process"),
    ("event loop", "its lateness p99 as dispatch lag; a warning"),
    (
        "client floor",
        f"median at most {checks.MAX_FLOOR_SHARE:.0%} of the median TTFA; above it a warning while the floor is at "
        f"most {checks.HARMLESS_FLOOR_MS:g} ms",
    ),
    ("other processes", f"at most {checks.MAX_OTHERS:.0%} of the machine; a warning: repeat the run"),
    (
        "silence around",
        f"silence before and after the speech makes up at most {checks.MAX_SILENCE_AROUND:.0%} of the audio; a warning",
    ),
    ("throttled CPU", "the system did not hold the CPU back"),
)


def _metrics(metrics: Iterable[Metric]) -> Iterator[str]:
    rows = ((f"`{m.name}`", m.title, m.formula, m.unit or "-", m.better.replace("none", "-")) for m in metrics)
    return _table(("name", "title", "formula", "unit", "better"), rows)


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    for row in (header, ("---",) * len(header), *rows):
        yield f"| {' | '.join(row)} |"


if __name__ == "__main__":
    print(markdown(), end="")
