"""A server that runs whole requests in order of arrival: what `concurrency.py` compares the deadlines with.

Takes the flags of `firstaudio serve`. The product has no such option.
"""

from __future__ import annotations

from functools import partial

from firstaudio.cli.main import main
from firstaudio.synthesis import synthesizer
from firstaudio.synthesis.scheduler import StepScheduler

if __name__ == "__main__":
    synthesizer.StepScheduler = partial(StepScheduler, priority=lambda stream: stream.arrival_ns)  # type: ignore[misc]
    main()
