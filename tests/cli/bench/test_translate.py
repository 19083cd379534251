"""From flags to what the harness wants. What is refused is in test_run.py, on the command line."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from firstaudio.bench.modes.setup import DEFAULT_LEVELS, Setup
from firstaudio.bench.spec import TargetSpec
from firstaudio.bench.workload import Goals, Texts
from firstaudio.cli.bench.flags import FLAGS
from firstaudio.cli.bench.judge import RANGES, UsageError, check, usage
from firstaudio.cli.bench.translate import setup, target
from firstaudio.errors import BenchError

HERE = "http://127.0.0.1:8000"


def flags(**given: Any) -> SimpleNamespace:
    return SimpleNamespace(**{name: default for name, (_, default, _) in FLAGS.items()} | {"url": HERE} | given)


def wish(**given: Any) -> Setup:
    return setup(flags(**given), target(flags(**given)))


def test_a_url_alone_is_an_openai_server():
    assert target(flags()) == TargetSpec("openai", HERE, "127.0.0.1:8000")


@pytest.mark.parametrize(
    ("given", "kind", "url", "name"),
    [
        ({"url": "ws://a:1/speak"}, "websocket", "ws://a:1", "a:1"),
        ({"url": "tcp://a:1"}, "wyoming", "tcp://a:1", "a:1"),
        ({"url": f"{HERE}/v1"}, "openai", HERE, "127.0.0.1:8000"),
        ({"kind": "torch"}, "torch", HERE, "127.0.0.1:8000"),
        ({"url": "elevenlabs:", "token": "t"}, "elevenlabs", "", "elevenlabs"),
        ({"url": "cmd:/usr/bin/espeak-ng --stdout"}, "command", "", "espeak-ng"),
    ],
    ids=lambda value: "",
)
def test_a_target_is_named_after_its_place(given: dict[str, Any], kind: str, url: str, name: str):
    spec = target(flags(**given))

    assert (spec.kind, spec.url, spec.name) == (kind, url, name)


@pytest.mark.parametrize(
    ("given", "delivery"),
    [
        ({}, "stream"),
        ({"streaming": True}, "stream"),
        ({"streaming": False}, "whole"),
        ({"sse": True}, "sse"),
        ({"sse": True, "streaming": True}, "sse"),
    ],
    ids=str,
)
def test_the_delivery_is_what_the_flags_say(given: dict[str, Any], delivery: str):
    assert target(flags(**given)).delivery == delivery


def test_headers_tokens_and_connections_reach_the_target():
    spec = target(flags(header=["X-Team: blue", "X-Colon:a:b"], token="t", cold=True, insecure=True, timeout=7.0))

    assert spec.headers == {"X-Team": "blue", "X-Colon": "a:b"}
    assert (spec.token, spec.connections, spec.verify_tls, spec.timeout_s) == ("t", "cold", False, 7.0)


def test_a_generic_endpoint_is_described_by_flags():
    given = {"kind": "http", "path": "/say", "method": "GET", "body": '{"t": "{text}"}', "audio": "json:a.b"}
    spec = target(flags(**given))

    assert (spec.path, spec.method, spec.body, spec.audio) == ("/say", "GET", {"t": "{text}"}, "json:a.b")


def test_flags_that_nobody_gave_are_the_defaults_of_a_session():
    assert wish() == Setup(target(flags()), levels=DEFAULT_LEVELS, requests=72, texts=Texts(), goals=Goals(800.0))


@pytest.mark.parametrize(
    ("given", "requests"),
    [({"plan": "demo"}, 12), ({"plan": "tail"}, 368), ({"iterations": 5}, 5), ({"iterations": 5, "plan": "tail"}, 5)],
    ids=str,
)
def test_requests_come_from_the_plan_or_from_their_number(given: dict[str, Any], requests: int):
    assert wish(**given).requests == requests


@pytest.mark.parametrize(
    ("given", "voices"),
    [({}, ()), ({"voice": "a"}, ("a",)), ({"voices": ["b", "c"]}, ("b", "c"))],
    ids=str,
)
def test_voices_are_one_or_several(given: dict[str, Any], voices: tuple[str, ...]):
    assert wish(**given).voices == voices


def test_levels_are_taken_once_in_the_order_in_which_they_stand():
    assert wish(concurrency=[4, 1, 4]).levels == (4, 1)


def test_texts_of_ones_own_come_from_flags_and_files_and_may_repeat(tmp_path: Path):
    file = tmp_path / "texts.txt"
    file.write_text("Two.\n\n  Three.  \n", encoding="utf-8")
    texts = wish(text=["One."], text_file=str(file), seed=9).texts

    assert (texts.custom, texts.unique, texts.seed) == (("One.", "Two.", "Three."), False, 9)


def test_a_language_reaches_the_texts_and_the_target():
    assert wish(language="de").texts.language == "de"
    assert wish(language="de").cell("c").language == "de"


def test_an_open_loop_has_a_rate():
    ramp = wish(arrival="ramp", start_rate=1.0, rate=9.0, duration=5.0)

    assert (ramp.arrival, ramp.start_rate_per_s, ramp.rate_per_s, ramp.duration_s) == ("ramp", 1.0, 9.0, 5.0)


def test_every_range_is_that_of_a_flag_and_holds_its_default():
    assert set(RANGES) <= set(FLAGS)
    check(flags())


@pytest.mark.parametrize("name", RANGES)
def test_a_figure_outside_its_range_is_refused(name: str):
    low, high, _ = RANGES[name]
    check(flags(**{name: low}))
    check(flags(**{name: high}))
    for outside in (low - 0.001, high * 1.01 + 1, float("nan"), float("inf")):
        with pytest.raises(UsageError, match=f"^--{name.replace('_', '-')} is "):
            check(flags(**{name: outside}))


def test_what_the_harness_refuses_at_first_is_the_fault_of_the_command_line():
    with pytest.raises(UsageError, match="no such thing"), usage():
        raise BenchError("no such thing")
