"""Files: the same bytes as a stream, with true lengths where the file can seek."""

from __future__ import annotations

from typing import IO

from firstaudio.audio.chunk import Pcm
from firstaudio.audio.encode.base import Encoder


class FileEncoder:
    """Writes one response into a binary file, from the file's present position on.

    Args:
        encoder: Fresh.
        file: Open for writing. If it can seek, `finish` corrects what the headers could not know.
    """

    def __init__(self, encoder: Encoder, file: IO[bytes]) -> None:
        self._encoder, self._file = encoder, file
        self._start = file.tell() if file.seekable() else None

    def push(self, pcm: Pcm) -> None:
        """Encode and write samples at the source's rate."""
        self._file.write(self._encoder.push(pcm))

    def close(self) -> None:
        """Free what the encoder holds, also before its end; the file stays open."""
        self._encoder.close()

    def finish(self) -> None:
        """Write the rest; leaves the file open, positioned at its end."""
        self._file.write(self._encoder.finish())
        if self._start is None:
            return
        end = self._file.tell()
        for position, data in self._encoder.corrections():
            self._file.seek(self._start + position)
            self._file.write(data)
        self._file.seek(end)
