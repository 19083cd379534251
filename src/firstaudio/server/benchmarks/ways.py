"""`Tally`: how the answers of one run were made, and whether some were made in another way than the rest."""

from __future__ import annotations

from collections import Counter, defaultdict

from firstaudio.telemetry.runs.records import Ways
from firstaudio.trace import Trace


class Tally:
    """Counts answers as they end; those without audio, and what a cached one does not know, count for nothing."""

    def __init__(self) -> None:
        self._engines, self._decodes, self._runtimes = Counter[str](), Counter[str](), Counter[str]()
        self._alike: dict[tuple[str, str], tuple[set[str], set[str]]] = defaultdict(lambda: (set(), set()))

    def note(self, trace: Trace) -> None:
        """Count a finished answer."""
        if trace.first_sent_ns is None:
            return
        self._engines[trace.engine] += 1
        runtime = ",".join(sorted(trace.runtime.split(",")))
        decodes, runtimes = self._alike[trace.voice, trace.delivery]
        for counter, seen, value in (
            (self._decodes, decodes, trace.decode),
            (self._runtimes, runtimes, runtime),
        ):
            if value:
                counter[value] += 1
                seen.add(value)

    @property
    def ways(self) -> Ways:
        """The numbers so far."""
        return Ways(dict(self._engines), dict(self._decodes), dict(self._runtimes))

    @property
    def mixed(self) -> tuple[str, ...]:
        """What was more than one thing, a sentence each.

        Two voices may be decoded differently, and so may an answer that is sent whole: of one voice, sent in one way,
        there is one decode and one runtime.
        """
        found = []
        if len(self._engines) > 1:
            found.append(f"more than one engine spoke: {_told(self._engines)}")
        if any(len(decodes) > 1 for decodes, _ in self._alike.values()):
            found.append(f"one voice was decoded in more than one way: {_told(self._decodes)}")
        if any(len(runtimes) > 1 for _, runtimes in self._alike.values()):
            found.append(f"one voice was made by more than one runtime: {_told(self._runtimes)}")
        return tuple(found)


def _told(counter: Counter[str]) -> str:
    return ", ".join(f"{name} ({num} answers)" for name, num in counter.most_common())
