"""A worker process: owns espeak-ng on its main thread, reads jobs from stdin, writes frames to stdout.

Run as `python -m firstaudio.engines.espeak.worker LIBRARY DATA`. It ends when stdin closes, so it cannot outlive the
server; it ignores SIGINT and SIGTERM, because a server that drains still needs it. Imports are kept to the standard
library: a worker is ready in tens of milliseconds.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from queue import SimpleQueue

from firstaudio.engines.espeak.library import Espeak, Word
from firstaudio.engines.espeak.protocol import WORD, Frame, FrameParser, Kind, pack

READ_BYTES = 65536


class Worker:
    """The loop of one process.

    Args:
        espeak: The library.
        out_fd: Where frames go. Writing blocks when the engine does not read: that is the back-pressure.
    """

    def __init__(self, espeak: Espeak, out_fd: int) -> None:
        self._espeak = espeak
        self._out_fd = out_fd
        self._jobs: SimpleQueue[Frame] = SimpleQueue()
        self._cancelled = 0  # highest cancelled job; jobs run in order, so every job up to it is over

    def read_frames(self, in_fd: int) -> None:
        """Take frames until the engine is gone, then end the process: nobody is left to speak to."""
        parser = FrameParser()
        while data := os.read(in_fd, READ_BYTES):
            for frame in parser.feed(data):
                if frame.kind is Kind.CANCEL:
                    self._cancelled = max(self._cancelled, frame.job)
                else:
                    self._jobs.put(frame)
        os._exit(0)

    def run(self) -> None:
        """Say READY, then do jobs in order, for ever."""
        version, data = self._espeak.version_and_data()
        self._write(
            pack(
                Kind.READY,
                0,
                json.dumps(
                    {
                        "version": version,
                        "data": str(data),
                        "sample_rate": self._espeak.sample_rate,
                        "voices": self._espeak.voices(),
                        "variants": self._espeak.variants(),
                    }
                ).encode(),
            )
        )
        while True:
            frame = self._jobs.get()
            if frame.job > self._cancelled:
                self._do(frame)
            self._write(pack(Kind.END, frame.job))

    def _do(self, frame: Frame) -> None:
        try:
            if frame.kind is Kind.PHONEMIZE:
                self._phonemize(frame)
            else:
                self._speak(frame)
        except ValueError as error:
            self._write(pack(Kind.ERROR, frame.job, str(error).encode()))

    def _phonemize(self, frame: Frame) -> None:
        request = json.loads(frame.payload)
        spoken = (self._espeak.phonemize(text, request["voice"]) for text in request["texts"])
        self._write(b"".join(pack(Kind.PHONEMES, frame.job, phonemes.encode()) for phonemes in spoken))

    def _speak(self, frame: Frame) -> None:
        job = frame.job

        def on_audio(pcm: bytes, words: list[Word]) -> bool:
            if job <= self._cancelled:
                return True
            marks = pack(Kind.WORDS, job, b"".join(WORD.pack(*word) for word in words)) if words else b""
            if marks or pcm:
                self._write(marks + (pack(Kind.AUDIO, job, pcm) if pcm else b""))
            return False

        self._espeak.speak(**json.loads(frame.payload), on_audio=on_audio)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._out_fd, view) :]


def main() -> None:
    """Entry point of the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # The library may print: keep the protocol's pipe to ourselves and send its prints to stderr.
    out_fd = os.dup(1)
    os.dup2(2, 1)
    try:
        worker = Worker(Espeak(sys.argv[1], sys.argv[2]), out_fd)
    except OSError as error:
        os.write(out_fd, pack(Kind.ERROR, 0, str(error).encode()))
        sys.exit(3)
    threading.Thread(target=worker.read_frames, args=(0,), daemon=True, name="frames").start()
    worker.run()


if __name__ == "__main__":
    main()
