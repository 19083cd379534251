from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from firstaudio.bench.clips import MAX_CLIP_S, ClipKeeper
from firstaudio.bench.reading.read import Heard
from firstaudio.bench.record import ChunkRow, RequestRecord

MS = 1_000_000
RATE = 1000  # one sample is one millisecond
SLOW, STALLED, FAILED = "slowest to first audio", "most buffer needed", "failed, with audio"


def record(index: int, ttfa_ms: int = 10, late_ms: int = 0, samples: int = 100, **changes: Any) -> RequestRecord:
    """Half of the audio at once, the other half so late that a player needs `late_ms` of buffer."""
    half = samples // 2
    rows = (ChunkRow(ttfa_ms * MS, 2 * half, half), ChunkRow((ttfa_ms + half + late_ms) * MS, 2 * half, half))
    about = {"cell": "c=1", "index": index, "client": 0, "phase": "measured", "label": "warm", "text": "x"}
    about |= {"text_class": "short", "voice": None, "speed": 1.0, "language": None, "outcome": "ok", "message": ""}
    stamps = dict.fromkeys(("scheduled_ns", "dispatched_ns", "sent_ns"), 0)
    stamps |= dict.fromkeys(("headers_ns", "first_byte_ns", "first_sample_ns", "audible_ns"), ttfa_ms * MS)
    found = {"connected_ns": None, "last_byte_ns": rows[-1].arrival_ns, "status": 200, "container": "wav"}
    found |= {"sample_rate": RATE, "onset_sample": 0, "chunks": rows}
    return RequestRecord(**{**about, **stamps, **found, **changes})


def heard(samples: int = 100, value: int = 7) -> Heard:
    return Heard(pcm=np.full(samples, value, np.int16), sample_rate=RATE)


def kept(keeper: ClipKeeper) -> list[tuple[int, str]]:
    return [(clip.index, clip.why) for clip in keeper.write()]


def test_the_most_notable_answers_of_every_reason_are_kept(tmp_path: Path):
    keeper = ClipKeeper(tmp_path, num_clips=6)
    for index, (ttfa, late) in enumerate([(10, 0), (40, 0), (30, 5), (20, 9), (15, 1)]):
        keeper.offer(record(index, ttfa, late), heard())
    keeper.offer(record(5, outcome="truncated"), heard())

    assert kept(keeper) == [(1, SLOW), (3, STALLED), (5, FAILED), (2, SLOW)]


@pytest.mark.parametrize("num_clips", [0, 1, 2, 5])
def test_there_are_never_more_than_asked_for(num_clips: int, tmp_path: Path):
    keeper = ClipKeeper(tmp_path, num_clips)
    for index in range(20):
        keeper.offer(record(index, 10 + index, 100 - index), heard())
        keeper.offer(record(20 + index, outcome="truncated"), heard())

    assert len(kept(keeper)) == num_clips
    assert len(list(tmp_path.rglob("*.wav"))) == num_clips


def test_an_answer_that_is_notable_twice_is_written_once(tmp_path: Path):
    keeper = ClipKeeper(tmp_path, num_clips=6)
    keeper.offer(record(0, 50, 50), heard())

    assert kept(keeper) == [(0, SLOW)]


@pytest.mark.parametrize(
    ("changes", "sound"),
    [
        ({"phase": "warmup"}, heard()),
        ({}, Heard()),
        ({"sample_rate": None}, heard()),
        ({"outcome": "empty", "chunks": ()}, heard(0)),
    ],
    ids=["warm-up", "nothing heard", "no rate", "failed without audio"],
)
def test_what_does_not_count_or_cannot_be_heard_is_not_kept(changes: dict[str, Any], sound: Heard, tmp_path: Path):
    keeper = ClipKeeper(tmp_path, num_clips=6)
    keeper.offer(record(0, **changes), sound)

    assert keeper.write() == []
    assert list(tmp_path.iterdir()) == []


def test_a_clip_is_a_wav_file_of_what_was_heard(tmp_path: Path):
    keeper = ClipKeeper(tmp_path, num_clips=6)
    keeper.offer(record(3), heard(100, value=258))
    (clip,) = keeper.write()

    data = (tmp_path / clip.file).read_bytes()
    assert clip.file == "clips/01.wav"
    assert len(data) == 44 + 200
    assert data[:4] + data[8:12] == b"RIFFWAVE"
    assert int.from_bytes(data[24:28], "little") == RATE
    assert data[44:] == b"\x02\x01" * 100


def test_a_long_answer_is_cut(tmp_path: Path):
    keeper = ClipKeeper(tmp_path, num_clips=6)
    keeper.offer(record(0), heard(round(MAX_CLIP_S * RATE) + 500))
    (clip,) = keeper.write()

    assert len((tmp_path / clip.file).read_bytes()) == 44 + 2 * round(MAX_CLIP_S * RATE)
