"""What one request of a benchmark asks to be spoken."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Utterance:
    """One text and how to speak it.

    Attributes:
        text: What the target is asked to speak, whole.
        text_class: "short", "medium", "long", "complex", or "custom" for texts of the user's own.
        voice: The target's name of a voice; None leaves it to the target.
        speed: Factor, 1 is normal.
        language: BCP-47 tag; None leaves it to the target.
    """

    text: str
    text_class: str = "custom"
    voice: str | None = None
    speed: float = 1.0
    language: str | None = None
