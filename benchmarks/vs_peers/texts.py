"""Texts of a stated length, none twice: plain sentences of the harness's corpus, cut at a word."""

from __future__ import annotations

import random
import re

from firstaudio.bench.texts import Corpus, load_corpus

SLACK = 4  # characters that a text may be shorter than asked for, so that no word is cut in two


class Texts:
    """An endless supply.

    Args:
        seed: Of all of them.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._corpus = load_corpus("en")
        self._used: set[str] = set()

    def take(self, length: int) -> str:
        """A new text of `length` characters, or up to `SLACK` fewer."""
        while True:
            text = self._draw(length)
            if length - SLACK <= len(text) <= length and text not in self._used:
                self._used.add(text)
                return text

    def _draw(self, length: int) -> str:
        text = ""
        while len(text) < length:
            sentence = self._random.choice(self._corpus.sentences["plain"])
            text = f"{text} {sentence.fill(self._corpus.values, self._random)}".lstrip()
        words = text[: length - 1] if text[length - 1] == " " else text[: length - 1].rpartition(" ")[0]
        return words.rstrip(" ,.:;?!") + "."


def words(corpus: Corpus | None = None) -> list[str]:
    """Every word that a text can hold, in lower case: for peers that want a lexicon."""
    corpus = corpus or load_corpus("en")
    literal = (part for sentence in corpus.sentences["plain"] for part in sentence.parts)
    slots = {slot for sentence in corpus.sentences["plain"] for slot in sentence.slots}
    filled = (value for slot in slots for value in corpus.values[slot])
    return sorted({word.lower() for text in (*literal, *filled) for word in re.findall(r"[^\W\d_]+(?:'[a-z]+)?", text)})
