"""A server that runs whole requests in order of arrival: what `concurrency.py` compares the deadlines with.

Takes the arguments of `firstaudio`. The product has no such option.
"""

from __future__ import annotations

from functools import partial

from firstaudio.cli.main import main
from firstaudio.server import app
from firstaudio.synthesis.scheduled import ScheduledStream


def arrival(stream: ScheduledStream) -> float:
    return stream.arrival_ns


if __name__ == "__main__":
    app.Synthesizer = partial(app.Synthesizer, priority=arrival)  # type: ignore[attr-defined, misc, assignment]
    main()
