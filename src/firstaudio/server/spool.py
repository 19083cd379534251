"""`Spool`: encoded audio on its way to a temporary file, so that a long response needs no memory."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from tempfile import SpooledTemporaryFile
from types import TracebackType
from typing import BinaryIO, Self, cast

import numpy as np
from numpy.typing import NDArray

from firstaudio.audio.encode import Encoder, FileEncoder

# Shorter responses never touch the disk.
MAX_MEMORY_BYTES = 1_048_576
# Encoding this much takes some tens of milliseconds: too long for the event loop, long enough for a thread.
BATCH_S = 2.0


class Spool:
    """Encodes PCM into a temporary file, off the event loop; a context manager that deletes the file.

    Args:
        encoder: Fresh.
        sample_rate: Of the PCM, in Hz.

    Attributes:
        num_samples: Samples pushed so far.
    """

    def __init__(self, encoder: Encoder, sample_rate: int) -> None:
        self.num_samples = 0
        self._batch_samples = int(BATCH_S * sample_rate)
        self._batch: list[NDArray[np.int16]] = []
        self._num_waiting = 0
        self._busy = threading.Lock()
        self._left = False
        # Closed in __exit__.
        self._file = cast(BinaryIO, SpooledTemporaryFile(max_size=MAX_MEMORY_BYTES))  # noqa: SIM115
        self._encoder = FileEncoder(encoder, self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._left = True
        self._close_if_idle()

    async def push(self, pcm: NDArray[np.int16]) -> None:
        """Take samples, shape (num_samples,)."""
        self._batch.append(pcm)
        self.num_samples += len(pcm)
        self._num_waiting += len(pcm)
        if self._num_waiting >= self._batch_samples:
            await asyncio.to_thread(self._encode, self._take())

    async def finish(self) -> tuple[BinaryIO, int]:
        """Encode the rest. Returns the file, at its beginning, and its length in bytes."""
        return self._file, await asyncio.to_thread(self._complete, self._take())

    def _take(self) -> Sequence[NDArray[np.int16]]:
        batch, self._batch, self._num_waiting = self._batch, [], 0
        return batch

    # In a thread, which goes on when whoever waits for it is cancelled.

    def _encode(self, batch: Sequence[NDArray[np.int16]]) -> None:
        with self._busy:
            for pcm in batch:
                self._encoder.push(pcm)
        if self._left:
            self._close_if_idle()

    def _complete(self, batch: Sequence[NDArray[np.int16]]) -> int:
        self._encode(batch)
        if self._left:
            return 0
        with self._busy:
            self._encoder.finish()
            num_bytes = self._file.tell()
            self._file.seek(0)
        if self._left:
            self._close_if_idle()
        return num_bytes

    def _close_if_idle(self) -> None:
        """Close now, or leave it to the thread that still encodes."""
        if self._busy.acquire(blocking=False):
            self._encoder.close()
            self._file.close()
            self._busy.release()
