"""How the answers of a run were made."""

from __future__ import annotations

from typing import Any

import pytest

from firstaudio.server.benchmarks.ways import Tally
from firstaudio.telemetry.runs.records import Ways
from firstaudio.trace import Trace


def answer(**fields: Any) -> Trace:
    made = {"engine": "kokoro", "voice": "af_heart", "delivery": "audio", "decode": "windowed", "runtime": "fast"}
    return Trace(**{**made, "first_sent_ns": 1, **fields})


def tally(*answers: Trace) -> Tally:
    made = Tally()
    for each in answers:
        made.note(each)
    return made


def test_answers_are_counted_by_what_made_them():
    found = tally(answer(), answer(runtime="slow,fast"), answer(voice="am_adam", runtime="fast,slow"))

    assert found.ways == Ways({"kokoro": 3}, {"windowed": 3}, {"fast": 1, "fast,slow": 2})


def test_two_engines_are_a_mix():
    found = tally(answer(), answer(), answer(engine="espeak", voice="en", decode="", runtime=""))

    assert found.mixed == ("more than one engine spoke: kokoro (2 answers), espeak (1 answers)",)


@pytest.mark.parametrize(("field", "part"), [("decode", "more than one way"), ("runtime", "more than one runtime")])
def test_one_voice_in_two_ways_is_a_mix(field: str, part: str):
    (sentence,) = tally(answer(), answer(**{field: "another"})).mixed

    assert part in sentence
    assert "another (1 answers)" in sentence


def test_two_voices_or_deliveries_in_a_way_of_their_own_are_none():
    """A voice that nobody has measured is decoded whole, in every run."""
    found = tally(answer(), answer(voice="am_adam", decode="whole"), answer(delivery="whole", decode="whole"))

    assert found.mixed == ()
    assert found.ways.decodes == {"windowed": 1, "whole": 2}


def test_neither_answers_without_audio_nor_cached_ones_tell_how_audio_is_made():
    found = tally(answer(), answer(engine="espeak", first_sent_ns=None), answer(decode="", runtime=""))

    assert found.mixed == ()
    assert found.ways == Ways({"kokoro": 2}, {"windowed": 1}, {"fast": 1})
