"""Which tokens belong to which word of the text."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WordSpan:
    """One word of the segment's text and the tokens of a run that speak it.

    Attributes:
        start_char: First character in the segment's text, 0-based.
        end_char: One past the last character.
        start_token: Index of the first token in `Run.ids`; the model's own sequence begins with a pad, so its index
            there is one more.
        end_token: One past the last token.
    """

    start_char: int
    end_char: int
    start_token: int
    end_token: int
