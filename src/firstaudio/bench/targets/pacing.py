"""Text as a language model hands it out: piece by piece, at a stated rate."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from itertools import pairwise
from typing import Any

from firstaudio.clock import NS_PER_S, Clock, now_ns

CHARACTERS_PER_PIECE = 4  # the usual figure for English text and the tokenisers of language models
_WORD = re.compile(r"\s*\S+(?:\s+\Z)?|\s+")

Sleep = Callable[[float], Awaitable[object]]


def cut(text: str, characters: int = CHARACTERS_PER_PIECE) -> list[str]:
    """Token-like pieces: short words whole, with the space before them; long words in even parts.

    Args:
        text: Any.
        characters: How long a piece is, about; a word becomes as many pieces as fit best.

    Returns:
        Pieces, none of them empty, that make up the text exactly.
    """
    return [piece for word in _WORD.findall(text) for piece in _cut_word(word, characters)]


def _cut_word(word: str, characters: int) -> list[str]:
    """Space before and after it stays with its first and last piece."""
    lead, num_letters = len(word) - len(word.lstrip()), len(word.strip())
    num_pieces = max(1, round(num_letters / characters))
    inner = [lead + num_letters * i // num_pieces for i in range(1, num_pieces)]
    return [word[start:end] for start, end in pairwise([0, *inner, len(word)])]


async def paced(
    pieces: Sequence[str], rate_per_s: float, *, clock: Clock = now_ns, sleep: Sleep = asyncio.sleep
) -> AsyncIterator[str]:
    """Each piece at its time: the first at once, piece i at i/rate after it.

    The times are absolute, so that a slow receiver of one piece does not delay all later ones; what is already due is
    yielded at once.
    """
    start_ns = clock()
    for index, piece in enumerate(pieces):
        due_ns = start_ns + round(index * NS_PER_S / rate_per_s)
        while (left_ns := due_ns - clock()) > 0:
            await sleep(left_ns / NS_PER_S)
        yield piece


async def alongside(send: Coroutine[Any, Any, None], receive: Coroutine[Any, Any, None]) -> None:
    """Receive while text is still being sent; the end of receiving ends both.

    A sender that raises ends the receiver too, so it should raise only what the receiver cannot know.
    """
    sender, receiver = asyncio.ensure_future(send), asyncio.ensure_future(receive)
    try:
        done, _ = await asyncio.wait((sender, receiver), return_when=asyncio.FIRST_COMPLETED)
        if receiver not in done:
            await sender
        await receiver
    finally:
        sender.cancel()
        receiver.cancel()
        await asyncio.gather(sender, receiver, return_exceptions=True)
