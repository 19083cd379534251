"""espeak-ng as a phonemizer, in a worker process of its own: speech of the espeak engine never waits for it."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from firstaudio.config.fields import EspeakConfig
from firstaudio.engines.espeak.engine import find_library
from firstaudio.engines.espeak.process import Job, WorkerProcess
from firstaudio.errors import EngineError, WorkerDiedError


class Phonemizer:
    """Text to IPA. Thread-safe; the worker is replaced when it dies.

    Args:
        config: Section `espeak`: where the library is, and how long a worker may be silent.
    """

    def __init__(self, config: EspeakConfig) -> None:
        self._config = config
        self._lock = threading.Lock()
        self._worker: WorkerProcess | None = None
        self._closed = False

    def start(self) -> None:
        """Start the worker and wait until it is ready; `phonemize` does it too. Raises ConfigError or EngineError."""
        self._running().wait_ready()

    def phonemize(self, stretches: Sequence[str], language: str) -> list[str]:
        """IPA of each stretch, in one round trip; a tie (U+0361) joins what is one sound.

        A worker that dies is replaced and asked again, once: nothing was spoken yet.

        Args:
            stretches: Text without punctuation that matters: the library drops it.
            language: A tag as the library lists it: "en-us", "fr-fr", "cmn".

        Raises:
            EngineError: The library lacks the language, a stretch holds a NUL, or the worker died (then retryable).
        """
        if any("\0" in stretch for stretch in stretches):
            raise EngineError("the text of a segment holds a NUL character")
        if not stretches:
            return []
        try:
            return self._ask(stretches, language)
        except WorkerDiedError:
            return self._ask(stretches, language)

    def close(self) -> None:
        """Stop the worker; idempotent."""
        with self._lock:
            self._closed = True
            worker, self._worker = self._worker, None
        if worker is not None:
            worker.stop()

    @property
    def pid(self) -> int | None:
        """Process id of the worker, for `/status` and for tests that kill it; None before the start."""
        worker = self._worker
        return None if worker is None else worker.pid

    def _ask(self, stretches: Sequence[str], language: str) -> list[str]:
        worker = self._running()
        listed = {tag.lower(): identifier for _, tag, identifier, _ in reversed(worker.wait_ready()["voices"])}
        if language not in listed:
            raise EngineError(f"espeak-ng has no voice for the language {language!r}")
        return _phonemes(worker.phonemize(stretches, listed[language]))

    def _running(self) -> WorkerProcess:
        with self._lock:
            if self._closed:
                raise EngineError("the phonemizer is closed")
            if self._worker is not None and not self._worker.alive:
                self._worker.stop(kill=True)
                self._worker = None
            if self._worker is None:
                library, data = find_library(self._config.library)
                self._worker = WorkerProcess(library, data, self._config.step_timeout_s)
            return self._worker


def _phonemes(job: Job) -> list[str]:
    phonemes = []
    while (frame := job.next_frame()) is not None:
        phonemes.append(frame.payload.decode())
    return phonemes
