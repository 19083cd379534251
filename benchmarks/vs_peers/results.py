"""From answers to tables: medians with their intervals, and ratios within rounds."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.vs_peers.listen import Answer

from firstaudio.bench.figures.stats import quantile_estimate
from firstaudio.stats.paired import bootstrap_rounds, hodges_lehmann

Row = dict[str, str]
OURS = "firstaudio"  # how the names of our variants begin


@dataclass(frozen=True, slots=True)
class Figure:
    """A median with the ends of its 95 % interval, which a sample of fewer than six does not have.

    Attributes:
        median: None where nothing was measured; failures are infinite.
        n: How many answers.
    """

    median: float | None
    low: float | None
    high: float | None
    n: int

    def shown(self, digits: int = 0) -> str:
        """For a table."""
        if self.median is None:
            return "-"
        interval = f" [{self.low:.{digits}f}, {self.high:.{digits}f}]" if self.low and self.high else ""
        return f"{self.median:.{digits}f}{interval} (n={self.n})"


class Results:
    """What was measured.

    Args:
        answers: Of all rounds.
    """

    def __init__(self, answers: Sequence[Answer]) -> None:
        self.answers = answers
        self.peers = sorted({answer.peer for answer in answers}, key=lambda name: (not name.startswith(OURS), name))
        self.lengths = sorted({answer.length for answer in answers})

    def figure(self, peer: str, length: int, name: str) -> Figure:
        """Of the answers that have it; a failed one counts as infinite."""
        of_it = [answer for answer in self.answers if (answer.peer, answer.length) == (peer, length)]
        values = [math.inf if answer.error else answer.figures.get(name) for answer in of_it]
        known = [value for value in values if value is not None]
        estimate = quantile_estimate(known, 0.5)
        return Figure(math.inf if estimate.infinite else estimate.value, estimate.low, estimate.high, len(known))

    def ratio(self, peer: str, ours: str, length: int, name: str) -> Figure:
        """How many times ours the peer's figure is: Hodges-Lehmann of the log ratios of rounds, bootstrap interval."""
        theirs, own = (self._by_round(each, length, name) for each in (peer, ours))
        logs = [math.log(theirs[number] / own[number]) for number in theirs if number in own]
        if not logs:
            return Figure(None, None, None, 0)
        low, high = bootstrap_rounds([[each] for each in logs], seed=1) if len(logs) > 2 else (None, None)
        low, high = (None if end is None else math.exp(end) for end in (low, high))
        return Figure(math.exp(hodges_lehmann(logs)), low, high, len(logs))

    def _by_round(self, peer: str, length: int, name: str) -> dict[int, float]:
        chosen = (answer for answer in self.answers if (answer.peer, answer.length) == (peer, length))
        return {answer.number: answer.figures[name] for answer in chosen if answer.figures.get(name)}

    def table(self, name: str, digits: int = 0) -> list[Row]:
        """One row per peer, one column per length."""
        rows = [
            {
                "": peer,
                **{f"{length} characters": self.figure(peer, length, name).shown(digits) for length in self.lengths},
            }
            for peer in self.peers
        ]
        return [row for row in rows if any(cell != "-" for column, cell in row.items() if column)]

    def ratios(self, ours: Iterable[str], name: str) -> list[Row]:
        """One row per peer and variant of ours: how many times ours the peer's figure is."""
        own = list(ours)
        return [
            {
                "": f"{peer} / {mine}",
                **{f"{length} characters": self.ratio(peer, mine, length, name).shown(1) for length in self.lengths},
            }
            for mine in own
            for peer in self.peers
            if peer != mine
        ]

    def stalls(self) -> list[Row]:
        """How many answers stalled at a player that starts with the first chunk, and the longest of their silences."""
        rows = []
        for peer in self.peers:
            row = {"": peer}
            for length in self.lengths:
                chosen = [a for a in self.answers if (a.peer, a.length) == (peer, length) and not a.error]
                stalled = [a for a in chosen if a.figures.get("stall_count")]
                longest = max((a.figures["stall_ms"] for a in stalled), default=0.0)
                row[f"{length} characters"] = f"{len(stalled)} of {len(chosen)}, {longest:.0f} ms"
            rows.append(row)
        return rows

    def ran(self) -> list[Row]:
        """What each answer said of how it was made, and how many said so; a peer that says nothing has no row."""
        said = Counter((a.peer, a.decode, a.runtime) for a in self.answers if a.decode or a.runtime)
        rows = sorted(said.items(), key=lambda item: (self.peers.index(item[0][0]), -item[1]))
        return [
            {"": peer, "X-Decode": decode or "-", "X-Runtime until the first audio": runtime or "-", "answers": str(n)}
            for (peer, decode, runtime), n in rows
        ]

    def errors(self) -> list[str]:
        """What went wrong, each once."""
        return list(dict.fromkeys(f"{answer.peer}: {answer.error}" for answer in self.answers if answer.error))

    def public(self) -> dict[str, Any]:
        """As JSON: every answer."""
        return {"answers": [asdict(answer) for answer in self.answers]}


def markdown(title: str, rows: Sequence[Mapping[str, str]]) -> str:
    """A table under its title."""
    if not rows:
        return ""
    lines = [" | ".join(row) for row in (list(rows[0]), ["---"] * len(rows[0]), *(row.values() for row in rows))]
    return f"**{title}**\n\n" + "\n".join(f"| {line} |" for line in lines) + "\n"
