"""Voices of a Kokoro model: names, languages, the style for a number of tokens, blends."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from firstaudio.engines.base import Voice


class VoiceTable:
    """Every voice of a voices file. Immutable after construction but for a cache of blends; thread-safe.

    Args:
        path: An npz archive (`voices-v1.0.bin`, `.npz`), one voice as `.npy` or raw float32 `.bin`, or a folder of such
            single voices.

    Raises:
        ConfigError: The file is missing, damaged, or holds something else.
    """

    def __init__(self, path: Path) -> None:
        raise NotImplementedError

    @property
    def languages(self) -> tuple[str, ...]:
        """BCP-47 tags that the voices speak by themselves, sorted."""
        raise NotImplementedError

    def voices(self) -> list[Voice]:
        """Aliases first (`default`, OpenAI's names), then the file's own."""
        raise NotImplementedError

    def resolve(self, voice: str, language: str | None) -> tuple[str, str]:
        """Canonical voice id (`af_heart`, `af_bella(2)+af_sky(1)`) and BCP-47 language; see `Engine.resolve`.

        A language of its own choice may be asked of any voice: the model reads phonemes, whoever speaks.

        Raises:
            UnknownVoiceError: No such voice, or a blend that cannot be made.
            UnknownLanguageError: Not a language of this model.
        """
        raise NotImplementedError

    def style(self, voice: str, num_tokens: int) -> NDArray[np.float32]:
        """The style, shape [1, 256], for a canonical voice id and 1 to 510 tokens (pads not counted)."""
        raise NotImplementedError
