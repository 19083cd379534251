"""Text to runs of tokens: what the model is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from firstaudio.config.fields import KokoroConfig
from firstaudio.engines.espeak.phonemizer import Phonemizer
from firstaudio.engines.kokoro.words import WordSpan

MAX_TOKENS = 510  # the position table has 512 places, two of them are the pads


@dataclass(frozen=True, slots=True)
class Run:
    """Tokens that go through the model at once.

    Attributes:
        ids: 1 to 510 token ids, without the pad (0) that the model wants at both ends.
        start_char: First character of the segment's text that the run speaks.
        end_char: One past the last one.
        is_last: Whether the segment ends with it.
        source: What `TextToTokens.words` needs to know; nobody else's business.
    """

    ids: tuple[int, ...]
    start_char: int
    end_char: int
    is_last: bool = True
    source: Any = field(default=None, repr=False, compare=False)


class TextToTokens:
    """The one door from text to tokens. Thread-safe.

    Args:
        config: Which way text becomes phonemes (`kokoro.g2p`).
        phonemizer: espeak-ng in a worker process of its own; started and closed by this object.
    """

    def __init__(self, config: KokoroConfig, phonemizer: Phonemizer) -> None:
        raise NotImplementedError

    def start(self) -> None:
        """Start the worker and load what `kokoro.g2p` asks for. Blocks. Raises ConfigError or EngineError."""
        raise NotImplementedError

    @property
    def languages(self) -> tuple[str, ...]:
        """BCP-47 tags that can be spoken here: what `runs` takes."""
        raise NotImplementedError

    def require(self, language: str) -> str:
        """The tag of `languages` that is meant. Raises UnknownLanguageError with the next step."""
        raise NotImplementedError

    def reason(self, language: str) -> str:
        """One sentence: what pronounces this language here, and why."""
        raise NotImplementedError

    def runs(self, text: str, language: str) -> list[Run]:
        """Tokens of a segment, in runs of 1 to 510; none where nothing of the text has a sound.

        Every token of the text is in exactly one run, in order. About a millisecond for a clause.

        Raises:
            UnknownLanguageError: See `require`.
            EngineError: The worker died (retryable) or refuses.
        """
        raise NotImplementedError

    def words(self, run: Run) -> Sequence[WordSpan]:
        """Which tokens speak which word; in order, without overlap. May ask the worker: call it after the first audio.

        Raises:
            EngineError: The worker died (retryable).
        """
        raise NotImplementedError

    def close(self) -> None:
        """Stop the worker; idempotent."""
        raise NotImplementedError
