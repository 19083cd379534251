"""How often something happens by itself: a word, or a number of seconds."""

from __future__ import annotations

from firstaudio.errors import ConfigError

OFF = "off"
WORDS = ("hourly", "daily", "weekly", "monthly")
MIN_S, MAX_S = 60.0, 366 * 86_400.0


def parse_every(setting: str, every: str) -> str | float | None:
    """One of `WORDS`, or seconds; None where it never happens.

    Args:
        setting: Which setting it is of, for the error.
        every: As it was given.

    Raises:
        ConfigError: It is neither a word that is known nor a number of seconds from `MIN_S` to `MAX_S`.
    """
    if every == OFF:
        return None
    if every in WORDS:
        return every
    try:
        seconds = float(every)
    except ValueError:
        seconds = -1.0
    if MIN_S <= seconds <= MAX_S:
        return seconds
    raise ConfigError(
        f"{setting} must be {OFF}, {', '.join(WORDS)}, or a number of seconds from {MIN_S:.0f} to {MAX_S:.0f}, "
        f"got {every[:40]!r}"
    )
