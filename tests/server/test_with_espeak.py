"""The whole way with a real voice."""

import base64
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from firstaudio.audio.decode import decode

TEXT = "Hello world! It is 3 o'clock, *isn't* it?"
OPENAI_VOICES = [
    "alloy",
    "ash",
    "ballad",
    "coral",
    "echo",
    "fable",
    "onyx",
    "nova",
    "sage",
    "shimmer",
    "verse",
    "marin",
    "cedar",
]


@pytest.fixture(scope="module")
def espeak(tools: Any) -> Iterator[Any]:
    with tools.run(tools.settings("espeak")) as running:
        yield running


@pytest.mark.parametrize("name", ["mp3", "opus", "aac", "flac", "wav", "pcm"])
def test_every_format_holds_speech_of_a_plausible_length(espeak: Any, name: str):
    pcm, rate = decode(espeak.speak(input=TEXT, response_format=name).body, name)
    assert 1.5 < len(pcm) / rate < 6.0
    assert np.abs(pcm).max() > 0


@pytest.mark.parametrize("voice", [*OPENAI_VOICES, "af_heart"])
def test_every_voice_that_clients_hard_code_speaks(espeak: Any, voice: str):
    assert espeak.speak(voice=voice, response_format="pcm").body


def test_word_times_name_every_word_of_the_original_text_in_order(espeak: Any):
    reply = espeak.speak(input=TEXT, response_format="pcm", stream_format="sse", word_timestamps=True)
    words = [word for event in reply.events if event["type"] == "speech.audio.words" for word in event["words"]]
    assert "world" in " ".join(word["text"] for word in words)
    assert all(word["text"] == TEXT[word["start_char"] : word["end_char"]] for word in words)
    audio = b"".join(base64.b64decode(event["audio"]) for event in reply.events if "audio" in event)
    times = [time for word in words for time in (word["start_s"], word["end_s"])]
    assert times == sorted(times)
    assert times[-1] <= len(audio) / 2 / 24_000


def test_other_languages_speak_and_unknown_ones_are_refused(espeak: Any):
    assert espeak.speak(input="Guten Tag!", lang="de").headers["x-language"] == "de"
    assert espeak.speak(lang="tlh").error["code"] == "unknown_language"


def test_a_pitch_beyond_the_engine_is_refused_with_its_range(espeak: Any):
    low, high = espeak.get("/v1/capabilities").json["engines"][0]["pitch_range"]
    assert espeak.speak(pitch=high).status == 200
    for pitch in (low - 0.1, high + 0.1):
        assert espeak.speak(pitch=pitch).error["param"] == "pitch"


def test_every_listed_voice_has_a_language_that_is_listed_too(espeak: Any):
    languages = set(espeak.get("/v1/capabilities").json["engines"][0]["languages"])
    voices = espeak.get("/v1/audio/voices").json["voices"]
    assert len(voices) > 100
    assert {voice["language"] for voice in voices} <= languages
