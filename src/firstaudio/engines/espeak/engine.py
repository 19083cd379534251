"""The espeak engine: espeak-ng in worker processes, at arm's length.

espeak-ng has process-wide state (two threads without a lock crash it) and can crash by itself, so each worker process
has one owner thread, and a worker that dies is replaced at once. It streams inside a segment: the callback's first
60 ms arrive a fraction of a millisecond after the call, whatever the segment's length.
"""

from __future__ import annotations

import ctypes.util
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from firstaudio.audio.chunk import Chunk, WordMark
from firstaudio.audio.tempo import Tempo
from firstaudio.config import Config
from firstaudio.engines.base import EngineInfo, SpeakRequest, Voice
from firstaudio.engines.espeak.library import LibraryVoice
from firstaudio.engines.espeak.process import Job, WorkerProcess, unpack_words
from firstaudio.engines.espeak.protocol import Kind
from firstaudio.engines.espeak.voices import VoiceTable
from firstaudio.engines.espeak.words import SpokenText, WordFinder
from firstaudio.errors import ConfigError, EngineError, WorkerDiedError

NATURAL_WPM = 175
# The library clamps slower rates without a word; at 80 wpm it speaks at 0.4734 of natural speed (docs/log.md), and
# what is slower still is stretched from there.
SLOWEST_WPM = 80
SLOWEST_SPEED = 0.4734
# F0 relative to natural at the library's pitch 0, 25, 50, 75, 100, measured: docs/log.md.
PITCH_STEPS = (0, 25, 50, 75, 100)
PITCH_FACTORS = (0.70, 0.82, 1.0, 1.26, 1.63)


@dataclass(frozen=True, slots=True)
class _Prepared:
    text: str
    spoken: SpokenText
    speak: dict[str, Any]  # a SPEAK frame's payload
    tempo: float  # < 1: stretch the library's audio by this factor


class EspeakEngine:
    """All voices and languages of espeak-ng.

    Args:
        config: Section `espeak`.
    """

    def __init__(self, config: Config) -> None:
        self._config = config.espeak
        self._pool: _WorkerPool | None = None
        self._table: VoiceTable | None = None
        self._info: EngineInfo | None = None

    @property
    def info(self) -> EngineInfo:
        """What this engine can do; known after `start`."""
        assert self._info is not None, "start the engine first"
        return self._info

    def start(self) -> None:
        """Start the workers and let each speak a word. Raises ConfigError or EngineError."""
        library, data = find_library(self._config.library)
        self._pool = _WorkerPool(library, data, self._config.num_workers, self._config.step_timeout_s)
        ready = self._pool.wait_ready()
        self._table = VoiceTable([LibraryVoice(*row) for row in ready["voices"]], ready["variants"])
        self._info = EngineInfo(
            name="espeak",
            sample_rate=ready["sample_rate"],
            languages=self._table.languages,
            num_lanes=self._config.num_workers,
            incremental=True,
            word_timing=True,
            pitch_range=(PITCH_FACTORS[0], PITCH_FACTORS[-1]),
            expected_rtf=0.001,
            description=f"espeak-ng {ready['version']} ({library})",
        )
        for _ in range(self._config.num_workers):
            voice, language = self._table.resolve("default", None)
            for _chunk in self.steps(self.prepare(SpeakRequest("Ready.", voice, language))):
                pass

    def voices(self) -> Sequence[Voice]:
        """Aliases first, then the library's own voices."""
        assert self._table is not None, "start the engine first"
        return self._table.voices()

    def resolve(self, voice: str, language: str | None) -> tuple[str, str]:
        """See `Engine.resolve`."""
        assert self._table is not None, "start the engine first"
        return self._table.resolve(voice, language)

    def prepare(self, request: SpeakRequest) -> _Prepared:
        """Speed and pitch in the library's units. Raises EngineError for text that C cannot hold."""
        assert self._table is not None, "start the engine first"
        if "\0" in request.text:
            raise EngineError("the text of a segment holds a NUL character")
        spoken = SpokenText(request.text)
        speak = {
            "text": spoken.text,
            "voice": self._table.identifier(request.voice),
            "rate": max(SLOWEST_WPM, round(NATURAL_WPM * request.speed)),
            "pitch": round(float(np.interp(request.pitch, PITCH_FACTORS, PITCH_STEPS))),
        }
        return _Prepared(request.text, spoken, speak, min(1.0, request.speed / SLOWEST_SPEED))

    def steps(self, prepared: _Prepared) -> Iterator[Chunk]:
        """Chunks as the library's callback delivers them (60 ms), word marks in segment coordinates."""
        assert self._pool is not None, "start the engine first"
        job = self._pool.speak(prepared.speak)
        try:
            yield from self._chunks(job, prepared)
        except WorkerDiedError:
            self._pool.replace_dead()  # at once, so that the next segment does not wait for it
            raise
        finally:
            job.cancel()

    def close(self) -> None:
        """Stop the workers."""
        if self._pool is not None:
            self._pool.close()

    def worker_pids(self) -> list[int]:
        """Process ids of the workers, for `/status` and for tests that kill one."""
        return [] if self._pool is None else self._pool.pids()

    def _chunks(self, job: Job, prepared: _Prepared) -> Iterator[Chunk]:
        tempo, finder = prepared.tempo, WordFinder(prepared.text)
        stretch = Tempo(self.info.sample_rate, tempo) if tempo < 1 else None
        position = 0
        words: list[WordMark] = []
        while True:
            frame = job.next_frame()
            if frame is not None and frame.kind is Kind.WORDS:
                for at, sample in unpack_words(frame.payload):
                    words += finder.event(prepared.spoken.original(at), round(sample / tempo))
                continue
            if frame is None:
                words += finder.finish()
            pcm = np.frombuffer(frame.payload if frame else b"", np.int16)
            if stretch:
                pcm = stretch.push(pcm) if frame else stretch.finish()
            if len(pcm) or (frame is None and words):
                yield Chunk(pcm, self.info.sample_rate, start_sample=position, words=tuple(words))
                position += len(pcm)
                words = []
            if frame is None:
                return


class _WorkerPool:
    """Workers, each replaced when it dies."""

    def __init__(self, library: str, data: str, num_workers: int, step_timeout_s: float) -> None:
        self._new = partial(WorkerProcess, library, data, step_timeout_s)
        self._lock = threading.Lock()
        self._closed = False
        self._turn = 0
        self._workers = [self._new() for _ in range(num_workers)]

    def wait_ready(self) -> dict[str, Any]:
        """READY of every worker; the first one's message. Raises EngineError and stops all when one cannot start."""
        try:
            messages = [worker.wait_ready() for worker in self._workers]
        except EngineError:
            self.close()
            raise
        return messages[0]

    def speak(self, request: dict[str, Any]) -> Job:
        """Begin a job on an idle worker, else on the next in turn. Raises EngineError."""
        return self._choose().speak(request)

    def replace_dead(self) -> None:
        """Start a new process in the place of each that has ended."""
        with self._lock:
            for index, worker in enumerate(self._workers):
                if not self._closed and not worker.alive:
                    worker.stop(kill=True)
                    self._workers[index] = self._new()

    def pids(self) -> list[int]:
        return [worker.pid for worker in self._workers]

    def close(self) -> None:
        with self._lock:
            self._closed = True
            for worker in self._workers:
                worker.stop()

    def _choose(self) -> WorkerProcess:
        self.replace_dead()
        with self._lock:
            if self._closed:
                raise EngineError("the espeak engine is closed")
            self._turn += 1
            turn = self._turn % len(self._workers)
            ordered = self._workers[turn:] + self._workers[:turn]
            # A busy worker is free in milliseconds, one that has just been started is not.
            return min(ordered, key=lambda worker: (not worker.ready, not worker.idle))


def find_library(configured: str = "") -> tuple[str, str]:
    """Path of libespeak-ng and of its data: as configured, the wheel's, else the system's.

    Raises:
        ConfigError: There is none.
    """
    if configured:
        return configured, ""
    try:
        import espeakng_loader

        return str(espeakng_loader.get_library_path()), str(espeakng_loader.get_data_path())
    except (ImportError, OSError):
        pass  # the wheel has no library for this platform: the system may have one
    if system := ctypes.util.find_library("espeak-ng"):
        return system, ""
    raise ConfigError(
        "no espeak-ng library: pip install espeakng-loader, or install your system's package "
        "(Debian: apt install libespeak-ng1), or set espeak.library to its path"
    )
