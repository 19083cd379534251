"""espeak-ng as a phonemizer, in a worker process of its own."""

from __future__ import annotations

from collections.abc import Sequence

from firstaudio.config.fields import EspeakConfig


class Phonemizer:
    """Text to IPA. Thread-safe; the worker is replaced when it dies.

    Args:
        config: Section `espeak`: where the library is, and how long a worker may be silent.
    """

    def __init__(self, config: EspeakConfig) -> None:
        raise NotImplementedError

    def start(self) -> None:
        """Start the worker and wait until it is ready; `phonemize` does it too. Raises ConfigError or EngineError."""
        raise NotImplementedError

    def phonemize(self, stretches: Sequence[str], voice: str) -> list[str]:
        """IPA of each stretch, in one round trip; a tie (U+0361) joins what is one sound.

        Args:
            stretches: Text without punctuation that matters: the library drops it.
            voice: espeak-ng's identifier or language tag.

        Raises:
            EngineError: The library refuses the voice, or the worker died (then retryable).
        """
        raise NotImplementedError

    def close(self) -> None:
        """Stop the worker; idempotent."""
        raise NotImplementedError
