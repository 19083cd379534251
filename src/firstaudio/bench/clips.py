"""The audio of a few notable answers, kept as WAV files so that a person can hear what a number means."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

from firstaudio.audio.chunk import Pcm, to_int16
from firstaudio.audio.encode import wav_header
from firstaudio.bench.figures.metrics import value
from firstaudio.bench.reading.read import Heard
from firstaudio.bench.record import RequestRecord
from firstaudio.bench.sessions.session import Clip
from firstaudio.bench.workload import Goals

MAX_CLIP_S = 30.0
FOLDER = "clips"

# What makes an answer notable: its name for people, and how much of it; None or 0 is not notable.
NOTABLE: dict[str, Callable[[RequestRecord], float | None]] = {
    "slowest to first audio": lambda record: value("ttfa_ms", record, Goals()) if record.ok else None,
    "most buffer needed": lambda record: value("preroll_ms", record, Goals()) if record.ok else None,
    "failed, with audio": lambda record: None if record.ok or not record.num_samples else 1.0,
}


@dataclass(order=True, slots=True)
class _Candidate:
    score: float
    number: int
    record: RequestRecord = field(compare=False)
    pcm: Pcm = field(compare=False)


class ClipKeeper:
    """Holds the audio of the most notable answers, at most `num_clips` of it.

    Args:
        folder: Of the session.
        num_clips: Over all reasons together; 0: none.
    """

    def __init__(self, folder: Path, num_clips: int) -> None:
        self._folder, self._num_clips = folder, num_clips
        self._share = -(-num_clips // len(NOTABLE))
        self._best: dict[str, list[_Candidate]] = {why: [] for why in NOTABLE}
        self._count = 0

    def offer(self, record: RequestRecord, heard: Heard) -> None:
        """Keep the answer if it is more notable than those that are kept."""
        if heard.pcm is None or record.phase != "measured" or not record.sample_rate:
            return
        self._count += 1
        for why, score in NOTABLE.items():
            if amount := score(record):
                heapq.heappush(self._best[why], _Candidate(amount, self._count, record, heard.pcm))
                while len(self._best[why]) > self._share:
                    heapq.heappop(self._best[why])

    def write(self) -> list[Clip]:
        """Write each answer once, the most notable first: the first of every reason, then the second ones."""
        clips: list[Clip] = []
        written: set[int] = set()
        ranks = zip_longest(*(sorted(candidates, reverse=True) for candidates in self._best.values()))
        for why, candidate in (pair for rank in ranks for pair in zip(self._best, rank, strict=True)):
            if candidate and candidate.number not in written and len(clips) < self._num_clips:
                written.add(candidate.number)
                clips.append(self._write(candidate, why))
        return clips

    def _write(self, candidate: _Candidate, why: str) -> Clip:
        record = candidate.record
        assert record.sample_rate is not None
        file = f"{FOLDER}/{len(list((self._folder / FOLDER).glob('*.wav'))) + 1:02}.wav"
        (self._folder / FOLDER).mkdir(parents=True, exist_ok=True)
        _save(self._folder / file, candidate.pcm[: round(MAX_CLIP_S * record.sample_rate)], record.sample_rate)
        return Clip(record.cell, record.index, why, file)


def _save(path: Path, pcm: Pcm, sample_rate: int) -> None:
    samples = to_int16(pcm).astype("<i2").tobytes()
    path.write_bytes(wav_header(sample_rate, len(samples)) + samples)
