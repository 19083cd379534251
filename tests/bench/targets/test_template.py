import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstaudio.bench.exchange import SpeakError
from firstaudio.bench.targets.template import check_complete, filled, filled_target, mentioned, values_of
from firstaudio.bench.utterance import Utterance

HELLO = values_of(Utterance("Hello", voice="amy", speed=1.5), "m1")


def test_values_stand_where_the_template_mentions_them():
    template = {
        "t": "{text}",
        "deep": [{"v": "voice {voice}"}, 7, None, True],
        "s": "{speed}",
        "m": "{model}",
        "o": "{other}",
    }

    assert filled(template, HELLO) == {
        "t": "Hello",
        "deep": [{"v": "voice amy"}, 7, None, True],
        "s": 1.5,
        "m": "m1",
        "o": "{other}",
    }


def test_fields_without_a_value_are_left_out():
    nothing = values_of(Utterance("Hello"), None)

    assert filled({"t": "{text}", "v": "a {voice}", "m": "{model}", "l": ["{language}"]}, nothing) == {
        "t": "Hello",
        "l": [],
    }


@given(text=st.text())
def test_any_text_arrives_as_it_is(text: str):
    values = values_of(Utterance(text, voice="{text}"), None)

    assert json.loads(json.dumps(filled({"a": "{text}", "b": "<{text}>", "c": "{voice}"}, values))) == {
        "a": text,
        "b": f"<{text}>",
        "c": "{text}",
    }


def test_a_target_is_escaped_and_loses_parameters_without_a_value():
    values = values_of(Utterance("a&b c/d?", voice=None), None)

    assert (
        filled_target("/say?text={text}&voice={voice}&x=1&speed={speed}", values)
        == "/say?text=a%26b%20c%2Fd%3F&x=1&speed=1"
    )
    assert filled_target("/say?voice={voice}", values) == "/say"


def test_a_path_that_needs_a_voice_says_so():
    with pytest.raises(SpeakError, match="needs a voice: state one"):
        filled_target("/tts/{voice}", values_of(Utterance("a"), None))


def test_mentioned_are_the_placeholders_at_any_depth():
    assert mentioned({"a": ["{text}", {"b": "x{voice}y{speed}"}], "c": 1, "{model}": "{unknown}"}) == {
        "text",
        "voice",
        "speed",
    }


@pytest.mark.parametrize(
    "utterance", [Utterance("a", voice="v"), Utterance("a", speed=2.0), Utterance("a", language="de")]
)
def test_what_has_no_place_is_not_dropped(utterance: Utterance):
    with pytest.raises(SpeakError, match="has no place for the"):
        check_complete(utterance, frozenset({"text"}))

    assert check_complete(utterance, frozenset({"text", "voice", "speed", "language"})) is None
