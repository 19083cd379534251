"""The engine's side of a worker process: start it, hand it jobs, read their frames, notice its death."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from firstaudio.engines.espeak.protocol import WORD, Frame, FrameParser, Kind, pack
from firstaudio.errors import EngineError, StepTimeoutError, WorkerDiedError

READ_BYTES = 65536
STOP_TIMEOUT_S = 1.0


@dataclass(eq=False, slots=True)
class Job:
    """One request on one worker: frames that have arrived and not been taken."""

    worker: WorkerProcess
    number: int
    frames: deque[Frame] = field(default_factory=deque)
    ended: bool = False

    def next_frame(self) -> Frame | None:
        """The next frame, waiting for it; None at the end. Raises EngineError."""
        return self.worker.next_frame(self)

    def cancel(self) -> None:
        """Stop the job if it runs; its remaining frames are thrown away. Does not wait."""
        self.worker.cancel(self)


class WorkerProcess:
    """One `firstaudio.engines.espeak.worker`.

    Jobs run one after the other. A job that begins while the one before it is unfinished first reads the rest of
    that one into its own queue (a segment is bounded, and espeak is a thousand times faster than speech), so streams
    may pause anywhere without holding the worker. Thread-safe.

    Args:
        library: Path of libespeak-ng.
        data: Its data folder, or empty.
        step_timeout_s: A worker that says nothing for this long is killed.
    """

    def __init__(self, library: str, data: str, step_timeout_s: float) -> None:
        self._timeout_ms = step_timeout_s * 1000
        self._lock = threading.Lock()
        self._parser = FrameParser()
        self._current: Job | None = None
        self._num_jobs = 0
        self._ready: dict[str, Any] | None = None
        self._broken = False
        self._process = subprocess.Popen(
            [sys.executable, "-m", "firstaudio.engines.espeak.worker", library, data],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            process_group=0,  # Ctrl-C in a terminal is for us: a worker that still starts would end with a traceback
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin_fd = self._process.stdin.fileno()
        self._stdout_fd = self._process.stdout.fileno()
        self._poll = select.poll()
        self._poll.register(self._stdout_fd, select.POLLIN)

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process runs and its pipes are in order."""
        return not self._broken and self._process.poll() is None

    @property
    def idle(self) -> bool:
        """Whether no job is unfinished, but for a cancelled one whose end was not read yet."""
        current = self._current
        return current is None or current.ended

    @property
    def ready(self) -> bool:
        """Whether the library in the worker is loaded; does not wait."""
        if self._ready is None and self._lock.acquire(blocking=False):
            try:
                if not self._broken and self._poll.poll(0):
                    self._read()
            except EngineError:
                return False  # whoever gives it a job is told why
            finally:
                self._lock.release()
        return self._ready is not None

    def wait_ready(self) -> dict[str, Any]:
        """The READY message, waiting for it. Raises EngineError when the worker cannot start."""
        with self._lock:
            while self._ready is None:
                self._read()
            return self._ready

    def speak(self, request: dict[str, Any]) -> Job:
        """Begin a job that gives audio. Raises EngineError."""
        return self._begin(Kind.SPEAK, request)

    def phonemize(self, texts: Sequence[str], voice: str) -> Job:
        """Begin a job that gives a PHONEMES frame for each text. Raises EngineError."""
        return self._begin(Kind.PHONEMIZE, {"texts": list(texts), "voice": voice})

    def _begin(self, kind: Kind, request: dict[str, Any]) -> Job:
        payload = json.dumps(request).encode()
        with self._lock:
            while self._current is not None:
                self._read()
            self._num_jobs += 1
            job = Job(self, self._num_jobs)
            self._write(pack(kind, job.number, payload))
            self._current = job
            return job

    def next_frame(self, job: Job) -> Frame | None:
        """See `Job.next_frame`."""
        with self._lock:
            while not job.frames:
                if job.ended:
                    return None
                if job is not self._current:
                    raise WorkerDiedError("the espeak worker died in the middle of a segment")
                self._read()
            frame = job.frames.popleft()
        if frame.kind is Kind.ERROR:
            raise EngineError(frame.payload.decode())
        return frame

    def cancel(self, job: Job) -> None:
        """See `Job.cancel`."""
        with self._lock:
            job.frames.clear()
            if job is self._current and not job.ended and not self._broken:
                try:
                    self._write(pack(Kind.CANCEL, job.number))
                except WorkerDiedError:
                    return  # a dead worker is as quiet as a cancelled one
                job.ended = True  # frames that still come are not kept

    def stop(self, *, kill: bool = False) -> None:
        """End the process and wait for it."""
        self._broken = True
        # The pipes are closed with the lock held: the numbers of closed files soon belong to others.
        if kill or not self._lock.acquire(timeout=STOP_TIMEOUT_S):
            self._process.kill()  # whoever waits for the worker sees its end and lets go of the lock
            self._lock.acquire()
        try:
            self._end()
        finally:
            self._lock.release()

    def _end(self) -> None:
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()  # the worker ends when its stdin does
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()

    def _write(self, data: bytes) -> None:
        if self._broken:
            raise self._died()
        try:
            while data:
                data = data[os.write(self._stdin_fd, data) :]
        except OSError as error:
            raise self._died() from error

    def _read(self) -> None:
        """Wait for bytes of the worker and sort their frames. Called with the lock held."""
        if self._broken:
            raise self._died()
        if not self._poll.poll(self._timeout_ms):
            self._process.kill()
            self._died()
            raise StepTimeoutError(f"the espeak worker said nothing for {self._timeout_ms / 1000:g} s and was stopped")
        data = os.read(self._stdout_fd, READ_BYTES)
        if not data:
            raise self._died()
        for frame in self._parser.feed(data):
            self._sort(frame)

    def _sort(self, frame: Frame) -> None:
        if frame.kind is Kind.READY:
            self._ready = json.loads(frame.payload)
        elif frame.job == 0:
            self._broken = True
            raise EngineError(f"espeak-ng cannot start: {frame.payload.decode()}")
        else:
            job = self._current
            assert job is not None
            assert frame.job == job.number
            if frame.kind is Kind.END:
                job.ended = True
                self._current = None
            elif not job.ended:
                job.frames.append(frame)

    def _died(self) -> WorkerDiedError:
        self._broken = True
        self._current = None
        return WorkerDiedError("the espeak worker died")


def unpack_words(payload: bytes) -> list[tuple[int, int]]:
    """The (character, sample) pairs of a WORDS frame."""
    return list(WORD.iter_unpack(payload))
