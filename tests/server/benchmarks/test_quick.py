"""One utterance, measured inside the server."""

from __future__ import annotations

import json
from typing import Any

import pytest

from firstaudio.config import SyntheticConfig
from firstaudio.server.benchmarks.quick import DEFAULT_TEXT, recommendation
from firstaudio.slo import Category, category
from firstaudio.trace import STAGES

OLD_KEYS = {"ttfa_ms", "target_met", "category", "bottleneck", "provider_used", "recommendation", "text_length"}


def test_it_says_what_the_utterance_took(server: Any):
    found = server.request("POST", "/benchmarks/ttfa/quick?text=Hello%20world!&voice=alloy").json

    assert set(found) >= OLD_KEYS
    assert found["category"] == category(found["ttfa_ms"])
    assert (found["target_met"], found["short_target_met"], found["target_ms"]) == (True, True, 800.0)
    assert (found["provider_used"], found["engine"], found["voice"]) == ("synthetic", "synthetic", "alloy")
    assert found["recommendation"] == "✅ Excellent TTFA performance"
    assert found["text_length"] == len("Hello world!")
    assert set(found["stages_ms"]) == set(STAGES)
    assert found["bottleneck"] == max(found["stages_ms"], key=found["stages_ms"].get)
    assert 0 < found["ttfa_ms"] <= found["ttgp_ms"]
    assert found["audio_s"] > 0
    assert found["rtf"] > 0
    assert found["contended"] is False


def ask(server: Any, body: Any, query: str = "") -> Any:
    data = json.dumps(body).encode()
    return server.request("POST", f"/benchmarks/ttfa/quick{query}", data, content_type="application/json")


def test_without_a_text_it_speaks_one_of_its_own(server: Any):
    assert server.request("POST", "/benchmarks/ttfa/quick").json["text_length"] == len(DEFAULT_TEXT)
    assert ask(server, {}).json["text_length"] == len(DEFAULT_TEXT)


def test_a_body_says_what_to_speak_as_the_query_does(server: Any):
    found = ask(server, {"text": "Hello world!", "voice": "alloy"}).json

    assert (found["text_length"], found["voice"]) == (len("Hello world!"), "alloy")
    assert ask(server, {"text": "Hello world!"}, "?voice=alloy").json["voice"] == "alloy"


@pytest.mark.parametrize(
    ("body", "query", "param"),
    [
        ({"text": ""}, "", "text"),
        ({"text": 3}, "", "text"),
        ({"voice": "nobody"}, "", "voice"),
        ({"voice": ""}, "", "voice"),
        ({"input": "Hello."}, "", "input"),
        ({"text": "Hello."}, "?text=Hello.", "text"),
        ({"text": "\N{GRINNING FACE}"}, "", "text"),
        (["Hello."], "", None),
    ],
)
def test_a_body_is_never_ignored(server: Any, body: Any, query: str, param: str | None):
    reply = ask(server, body, query)

    assert (reply.status, reply.error["param"]) == (400, param)


def test_a_form_is_refused(server: Any):
    assert server.request("POST", "/benchmarks/ttfa/quick", b"text=a", content_type="text/plain").status == 415


def test_it_is_never_an_answer_of_the_cache(server: Any):
    said = "What was said before."
    before = server.get("/status").json["tts_processing"]["cache"]
    server.request("POST", "/benchmarks/ttfa/quick", json.dumps({"text": "Nobody keeps this."}).encode())
    assert server.get("/status").json["tts_processing"]["cache"] == before

    server.speak(input=said)
    server.speak(input=said)
    assert ask(server, {"text": said}).json["warmth"] == "warm"


def test_it_is_a_benchmark_s_and_no_client_s_measurement(server: Any):
    name = server.request("POST", "/benchmarks/ttfa/quick?text=Whose%20is%20it?").json["request_id"]
    found = server.get("/ttfa-measurements?limit=1000").json["measurements"]
    (entry,) = [entry for entry in found if entry["request_id"] == name]

    assert (entry["details"]["origin"], entry["details"]["run"]) == ("benchmark", name)
    assert entry["text_length"] == len("Whose is it?")


@pytest.mark.parametrize(
    ("query", "status", "param"),
    [
        ("text=...", 400, "text"),
        ("text=%F0%9F%98%80", 400, "text"),
        ("text=Hello&text=Hello", 400, "text"),
        ("voice=alloy&text=Hello&voice=fast", 400, "voice"),
        ("text=", 400, "text"),
        ("text=%20%0a", 400, "text"),
        ("voice=", 400, "voice"),
        ("text=Hello&voice=nobody", 400, "voice"),
        ("txt=Hello", 400, "txt"),
        ("text=" + "x" * 50_001, 400, "text"),
    ],
)
def test_what_cannot_be_spoken_is_refused(server: Any, query: str, status: int, param: str | None):
    reply = server.request("POST", f"/benchmarks/ttfa/quick?{query}")

    assert reply.status == status
    assert param is None or reply.error["param"] == param


def test_it_is_asked_for_by_post(server: Any):
    assert server.get("/benchmarks/ttfa/quick").status in (404, 405)


def test_a_slow_engine_is_named_with_its_stage(tools: Any):
    slow = SyntheticConfig(ttfa_ms=900.0, rtf=0.0)
    with tools.run(tools.settings(synthetic=slow)) as running:
        found = running.request("POST", "/benchmarks/ttfa/quick?text=Slow.").json

    assert (found["category"], found["target_met"], found["bottleneck"]) == ("acceptable", False, "model_inference")
    assert "the target of 800 ms is missed: most of it was model_inference" in found["recommendation"]


def test_somebody_else_who_listens_makes_it_contended(tools: Any):
    slow = SyntheticConfig(ttfa_ms=1.0, rtf=0.5)
    with tools.run(tools.settings(synthetic=slow)) as running, running.ask(input="word " * 100) as other:
        tools.read_until(other, b"\r\n\r\n")
        found = running.request("POST", "/benchmarks/ttfa/quick?text=Hello.").json

    assert found["contended"] is True


def test_an_engine_that_fails_is_no_measurement(tools: Any):
    broken = SyntheticConfig(ttfa_ms=0.0, rtf=0.0, failure_rate=1.0)
    with tools.run(tools.settings(synthetic=broken)) as running:
        reply = running.request("POST", "/benchmarks/ttfa/quick?text=Hello.")

    assert reply.status >= 500
    assert reply.error["message"]


@pytest.mark.parametrize(
    ("ttfa_ms", "words"),
    [
        (100.0, "✅ Excellent TTFA performance"),
        (400.0, "✅ Good TTFA performance"),
        (800.0, "⚠️ Acceptable TTFA performance"),
        (800.5, "⚠️ Acceptable TTFA performance, the target of 800 ms is missed: most of it was queue"),
        (1200.0, "⚠️ Poor TTFA performance, the target of 800 ms is missed: most of it was queue"),
        (2000.0, "❌ Critical TTFA performance, the target of 800 ms is missed: most of it was queue"),
    ],
)
def test_the_words_go_with_the_category(ttfa_ms: float, words: str):
    name: Category = category(ttfa_ms)

    assert recommendation(ttfa_ms, name, "queue", 800.0).startswith(words)
