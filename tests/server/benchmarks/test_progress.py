"""What a program says on stderr, in whatever pieces it comes."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from firstaudio.server.benchmarks.progress import (
    MAX_LINE_BYTES,
    MAX_TAIL_CHARS,
    REPORTS,
    Listener,
    Pace,
    RunProgress,
)


def line(**told: object) -> bytes:
    return json.dumps({"progress": told}).encode() + b"\n"


def heard(*pieces: bytes) -> Listener:
    listener = Listener()
    for piece in pieces:
        listener.feed(piece)
    listener.end()
    return listener


def test_progress_is_told_apart_from_talk():
    listener = heard(b"talk\n", line(share=0.25, cell="c=1"), b'{"note": "mind this"}\n', b"last")

    assert listener.progress == RunProgress(0.25, "c=1")
    assert listener.tail == "talk\nmind this\nlast\n"
    assert listener.last_line == "last"


def test_when_all_is_measured_the_reports_are_written():
    assert heard(line(share=1.0, cell="c=4", cells=3, cells_done=3)).progress == RunProgress(1.0, REPORTS)


def test_nonsense_changes_nothing():
    good = line(share=0.5, cell="c=1")
    bad = [line(share=value, cell=7) for value in (None, "0.6", 2, -1, [], float("nan"))]

    assert heard(good, *bad, b'{"progress": []}\n', b"{" * 10_000 + b"\n").progress == RunProgress(0.5, "c=1")


@given(st.lists(st.binary(max_size=50)))
def test_it_does_not_matter_where_the_pieces_end(pieces: list[bytes]):
    whole, parts = heard(b"".join(pieces)), heard(*pieces)

    assert (whole.tail, whole.progress) == (parts.tail, parts.progress)


def test_however_much_comes_little_is_kept():
    listener = Listener()
    for _ in range(100):
        listener.feed(b"x" * MAX_LINE_BYTES)

    assert len(listener.tail) <= MAX_TAIL_CHARS
    assert len(listener._line) <= MAX_LINE_BYTES


def test_what_a_program_takes_to_load_says_nothing_of_its_pace():
    now_s = 0.0
    pace = Pace(lambda: round(now_s * 1e9))
    assert pace.remaining_s(None) is None
    now_s = 8.0
    pace.note(0.0)
    assert pace.remaining_s(0.0) is None
    now_s = 10.0
    pace.note(0.1)
    assert pace.remaining_s(0.1) == 18.0
    now_s = 28.0
    assert pace.remaining_s(1.0) == 0.0
