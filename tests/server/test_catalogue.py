import json
from typing import Any

import pytest

from firstaudio import __version__
from firstaudio.audio.encode import FORMATS
from firstaudio.server.schemas.speech import FORMAT_NAMES
from firstaudio.synthesis.utterance import MAX_SPEED, MIN_SPEED


def test_voices_are_objects_with_id_and_name(server: Any):
    voices = server.get("/v1/audio/voices").json["voices"]
    assert {"id", "name", "language", "gender", "engine", "alias_of"} == set(voices[0])
    assert "alloy" in [voice["id"] for voice in voices]


def test_every_listed_voice_speaks(server: Any):
    for voice in server.get("/v1/audio/voices").json["voices"]:
        assert server.speak(voice=voice["id"]).status == 200


def test_models_are_the_engines_and_openais_names(server: Any):
    listed = server.get("/v1/models").json
    assert listed["object"] == "list"
    assert [entry["id"] for entry in listed["data"]] == ["synthetic", "tts-1", "tts-1-hd", "gpt-4o-mini-tts"]
    assert {entry["owned_by"] for entry in listed["data"]} == {"synthetic"}


def test_every_listed_model_can_be_shown_and_speaks(server: Any):
    for entry in server.get("/v1/models").json["data"]:
        assert server.get(f"/v1/models/{entry['id']}").json == entry
        assert server.speak(model=entry["id"]).status == 200


def test_an_unknown_model_is_404_and_the_known_ones_are_named(server: Any):
    reply = server.get("/v1/models/gpt-9")
    assert (reply.status, reply.error["code"], reply.error["param"]) == (404, "model_not_found", "model")
    assert "tts-1" in reply.error["message"]


def test_a_model_that_this_server_was_not_started_with_says_how_to_get_it(server: Any):
    for reply in (server.get("/v1/models/kokoro"), server.speak(model="kokoro")):
        assert (reply.status, reply.error["code"]) == (404, "model_not_found")
        assert "`firstaudio serve --engine synthetic,kokoro`" in reply.error["message"]
        assert "use one of synthetic, tts-1" in reply.error["message"]


def test_the_formats_of_the_request_are_those_of_the_encoders():
    assert set(FORMAT_NAMES) == set(FORMATS)


def test_capabilities_tell_what_requests_may_ask(server: Any):
    told = server.get("/v1/capabilities").json
    assert (told["service"], told["version"]) == ("firstaudio", __version__)
    assert (told["default_engine"], told["default_voice"]) == ("synthetic", "alloy")
    assert [entry["name"] for entry in told["formats"]] == list(FORMAT_NAMES)
    assert told["limits"]["speed"] == [MIN_SPEED, MAX_SPEED]
    assert told["limits"]["max_input_chars"] == 50_000
    assert told["engines"][0]["num_voices"] == len(told["voices"])
    assert told["unknown_fields"] == "reject"


def test_capabilities_tell_the_true_rates_and_types(server: Any):
    for entry in server.get("/v1/capabilities").json["formats"]:
        headers = server.speak(response_format=entry["name"]).headers
        assert headers["content-type"] == entry["media_type"]
        assert headers["x-sample-rate"] == str(entry["sample_rates"]["synthetic"])


def test_the_request_for_word_times_that_capabilities_tell_works(server: Any):
    timing = server.get("/v1/capabilities").json["word_timing"]
    assert timing["supported"]
    assert timing["event"] in {event["type"] for event in server.speak(**timing["request"]).events}


def test_the_root_says_what_answers(server: Any):
    card = server.get("/").json
    assert (card["service"], card["version"]) == ("firstaudio", __version__)
    assert {"dashboard", "status", "metrics", "ready", "benchmarks", "ttfa_performance"} <= set(card["links"])
    for name in set(card["links"]) - {"speech"}:
        assert server.get(card["links"][name]).status == 200
    assert server.get("/v1/").json == card


CHROME = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


@pytest.mark.parametrize("accept", [CHROME, "text/html"])
def test_the_root_sends_a_browser_to_the_dashboard(server: Any, accept: str):
    reply = server.get("/", accept=accept)
    assert (reply.status, reply.headers["location"], reply.headers["vary"]) == (307, "dashboard", "Accept")
    assert server.get("/v1/", accept=accept).status == 200


@pytest.mark.parametrize("accept", ["", "*/*", "application/json", "application/json, text/html", "text/plain"])
def test_the_root_answers_a_program_itself(server: Any, accept: str):
    assert server.get("/", accept=accept).json["service"] == "firstaudio"


def test_the_examples_of_the_schema_are_served(server: Any):
    schema = server.get("/openapi.json").json["components"]["schemas"]["SpeechRequest"]
    for example in schema["examples"]:
        reply = server.request("POST", "/v1/audio/speech", json.dumps(example).encode())
        assert reply.status == 200
