"""Where speech goes: a file that appears only when it is whole, a pipe, or the sound card."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from firstaudio.audio.encode import encode_to, make_encoder
from firstaudio.errors import ConfigError, FirstaudioError, MissingExtraError

Int16 = NDArray[np.int16]


def write_file(path: Path, format_name: str, sample_rate: int, pcm: Iterable[Int16]) -> None:
    """Encode to a file; a device or a named pipe gets the streamed form.

    The file appears under its name when it is complete; until then, and for ever when `pcm` raises, whatever had that
    name stays.

    Args:
        path: Where to write.
        format_name: A key of `FORMATS`.
        sample_rate: Of `pcm`, in Hz.
        pcm: Pieces of mono audio, shape (num_samples,).

    Raises:
        FirstaudioError: The file cannot be made.
    """
    if path.exists() and not path.is_file():
        with _opened(path, "wb") as device:
            write_stream(device, format_name, sample_rate, pcm)
        return
    with _replacing(path.resolve()) as file:
        encode_to(format_name, sample_rate, pcm, file)


def write_stream(out: BinaryIO, format_name: str, sample_rate: int, pcm: Iterable[Int16]) -> None:
    """Encode to something that cannot seek, flushed piece by piece."""
    encoder = make_encoder(format_name, sample_rate)
    for piece in pcm:
        out.write(encoder.push(piece))
        out.flush()
    out.write(encoder.finish())
    out.flush()


@contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """A new file beside `path` that takes its place at the end of the block, or vanishes when the block raises."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with _opened(temporary, "xb", path) as file:
            yield file
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _opened(path: Path, mode: str, named: Path | None = None) -> BinaryIO:
    """Open, or raise FirstaudioError that names the file which the user named."""
    try:
        return path.open(mode)  # type: ignore[return-value]
    except OSError as error:
        raise FirstaudioError(f"cannot write {named or path}: {error.strerror}") from error


class Player:
    """The sound card, as a context manager: leaving the block waits for the last sample, or falls silent on an error.

    Args:
        sample_rate: In Hz.

    Raises:
        MissingExtraError: The package sounddevice is not installed.
        ConfigError: There is no PortAudio or no device.
    """

    def __init__(self, sample_rate: int) -> None:
        sounddevice = import_sounddevice()
        try:
            self._stream: Any = sounddevice.OutputStream(samplerate=sample_rate, channels=1, dtype="int16")
        except sounddevice.PortAudioError as error:
            raise ConfigError(f"there is no sound device to play on ({error}); write a file with -o FILE") from error

    def __enter__(self) -> Self:
        self._stream.start()
        return self

    def write(self, pcm: Int16) -> None:
        """Queue audio, shape (num_samples,); blocks while the device's buffer is full."""
        self._stream.write(pcm.reshape(-1, 1))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if kind is None:
            self._stream.stop()
        else:
            self._stream.abort()
        self._stream.close()


def import_sounddevice() -> Any:
    """The module, imported only here: it opens PortAudio. Raises MissingExtraError or ConfigError."""
    try:
        import sounddevice
    except ImportError as error:
        raise MissingExtraError("playing (-o FILE writes instead)", "play") from error
    except OSError as error:  # the package is there, the library that it loads is not
        raise ConfigError(
            f"playing needs PortAudio ({error}); install it (Debian: apt install libportaudio2), or write with -o FILE"
        ) from error
    return sounddevice
