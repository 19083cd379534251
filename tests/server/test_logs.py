"""The log: lines for people or for programs, each with its request's id, none with a user's words."""

from __future__ import annotations

import http.client
import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from firstaudio.config import Config, ServerConfig
from firstaudio.engines.synthetic import SyntheticEngine
from firstaudio.errors import EngineError
from firstaudio.server import logs

MARKER = "Geheimnis"


@contextmanager
def written(log_format: logs.LogFormat = "text", level: str = "info") -> Iterator[io.StringIO]:
    """What a server would write to stderr."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.make_formatter(level, log_format))
    ours = logging.getLogger("firstaudio")
    before = ours.level
    ours.addHandler(handler)
    ours.setLevel(level.upper())
    try:
        yield stream
    finally:
        ours.removeHandler(handler)
        ours.setLevel(before)


def lines_of(request_id: str, stream: io.StringIO) -> list[dict[str, Any]]:
    """Those of one request: what somebody else asked before may be logged only now."""
    return [line for line in map(json.loads, stream.getvalue().splitlines()) if line.get("request_id") == request_id]


def text_of(request_id: str, stream: io.StringIO) -> list[str]:
    return [line for line in stream.getvalue().splitlines() if line.endswith(f"id={request_id}")]


class Careless(SyntheticEngine):
    """Quotes the text in whatever it raises."""

    kind: type[Exception] = ValueError
    fails_after_audio = False

    def prepare(self, request: Any) -> Any:
        if not self.fails_after_audio:
            raise self.kind(f"cannot speak {request.text!r}")
        return super().prepare(request), request.text

    def steps(self, prepared: Any) -> Iterator[Any]:
        inner, text = prepared
        yield from list(super().steps(inner))[:1]
        try:
            raise KeyError(text)
        except KeyError as error:
            raise self.kind(f"cannot go on with {text!r}") from error


def test_a_request_is_one_object_a_line_with_its_id_and_its_figures(server: Any, tools: Any):
    with written("json") as stream:
        server.request(
            "POST",
            "/v1/audio/speech",
            b'{"input": "Hello world!"}',
            content_type="application/json",
            x_request_id="r-7",
        )
        tools.eventually(lambda: "request" in {line.get("event") for line in lines_of("r-7", stream)})
    speech, request = lines_of("r-7", stream)

    assert (speech["event"], speech["request_id"], speech["outcome"]) == ("speech", "r-7", "completed")
    assert speech["ttfa_ms"] > 0
    assert (speech["characters"], speech["engine"], speech["logger"]) == (
        12,
        "synthetic",
        "firstaudio.server.responses",
    )
    assert (request["event"], request["request_id"], request["status"]) == ("request", "r-7", 200)
    assert (request["method"], request["path"], request["level"]) == ("POST", "/v1/audio/speech", "INFO")
    assert request["time"].endswith("+00:00")


def test_the_same_request_is_two_lines_for_people(server: Any, tools: Any):
    with written() as stream:
        server.request("POST", "/v1/audio/speech", b'{"input": "Hello world!"}', x_request_id="r-8")
        tools.eventually(lambda: any("path='/v1/audio/speech'" in line for line in text_of("r-8", stream)))
    speech, request = text_of("r-8", stream)

    assert "INFO firstaudio.server.responses speech outcome=completed engine=synthetic" in speech
    assert "INFO firstaudio.server request method=POST path='/v1/audio/speech' status=200 ms=" in request


def test_whoever_asks_again_and_again_leaves_no_line(server: Any, tools: Any):
    with written() as stream:
        for path in ("/health", "/ready", "/metrics", "/v1/models"):
            server.get(path, x_request_id="r-9")
        tools.eventually(lambda: "/v1/models" in stream.getvalue())
    assert len(text_of("r-9", stream)) == 1


def test_what_the_server_says_to_itself_when_it_starts_leaves_no_line(tools: Any):
    with written() as quiet, tools.run(tools.settings()):
        pass
    with written(level="debug") as debug, tools.run(tools.settings()):
        pass
    assert "id=warm-up" not in quiet.getvalue()
    assert "id=warm-up" in debug.getvalue()


@pytest.mark.parametrize("log_format", ["text", "json"])
@pytest.mark.parametrize("kind", [ValueError, KeyError])
@pytest.mark.parametrize("fails_after_audio", [False, True])
def test_no_word_of_a_user_is_logged_when_an_engine_fails(
    tools: Any, log_format: logs.LogFormat, kind: type[Exception], fails_after_audio: bool
):
    config = tools.settings()
    engine = Careless(config)
    engine.kind, engine.fails_after_audio = kind, fails_after_audio
    with tools.run(config, {"careless": engine}) as running, written(log_format) as stream:
        try:
            running.speak(input=f"Mein {MARKER} ist groß. Und {MARKER} hier.")
        except http.client.IncompleteRead:
            assert fails_after_audio  # the answer was broken off
        tools.eventually(lambda: "/v1/audio/speech" in stream.getvalue())

    assert MARKER not in stream.getvalue()
    assert kind.__name__ in stream.getvalue()
    assert logs.HIDDEN in stream.getvalue()


@pytest.mark.parametrize(
    "body",
    [
        {"input": f"{MARKER} {MARKER}"},
        {"input": f"{MARKER} ", "voice": "nobody"},
        {"input": MARKER, "speed": 99},
        {"input": MARKER, MARKER: 1},
        {"input": [MARKER]},
        {"input": MARKER, "stream_format": "sse"},
        {"input": MARKER, "stream": False, "response_format": "mp3"},
        {"input": f"<think>{MARKER}</think>"},
        {"input": MARKER, "model": MARKER},
        {"input": MARKER, "instructions": MARKER},
    ],
)
def test_no_word_of_a_user_is_logged_whatever_is_sent(server: Any, tools: Any, body: dict[str, Any]):
    with written("json") as stream:
        server.request("POST", "/v1/audio/speech", json.dumps(body).encode(), content_type="application/json")
        server.request("POST", "/v1/audio/speech", json.dumps(body).encode()[:-1], content_type="application/json")
        server.get(f"/v1/models?text={MARKER}")
        tools.eventually(lambda: stream.getvalue().count('"event": "request"') >= 3)
    assert MARKER not in stream.getvalue()


def test_with_debug_everything_is_said(tools: Any):
    config = tools.settings()
    with tools.run(config, {"careless": Careless(config)}) as running, written(level="debug") as stream:
        running.speak(input=MARKER)
        tools.eventually(lambda: "/v1/audio/speech" in stream.getvalue())
    assert MARKER in stream.getvalue()


def record(error: BaseException | None = None, **extra: Any) -> logging.LogRecord:
    info = (type(error), error, error.__traceback__) if error is not None else None
    made = logging.makeLogRecord({"name": "x", "levelname": "ERROR", "msg": "what %s", "args": ("happened",)} | extra)
    made.exc_info = info
    return made


def raised(error: Exception, cause: Exception | None = None) -> Exception:
    try:
        raise error from cause
    except Exception as caught:  # noqa: BLE001 -- to have a traceback
        return caught


def test_outside_of_a_request_foreign_errors_speak_freely():
    formatted = logs.JsonFormatter().format(record(raised(ValueError("no such driver"))))
    assert "ValueError: no such driver" in json.loads(formatted)["exception"]


def test_inside_of_a_request_our_own_errors_speak_and_foreign_ones_show_their_type():
    error = raised(EngineError("the worker died"), raised(ValueError(MARKER)))
    with logs.request("r-1"):
        formatted = logs.TextFormatter().format(record(error))
    assert f"ValueError: {logs.HIDDEN}\nwhich led to\n" in formatted
    assert formatted.endswith("EngineError: the worker died")
    assert "in raised" in formatted


def test_errors_that_cause_each_other_end():
    first, second = raised(ValueError("1")), raised(ValueError("2"))
    first.__cause__, second.__cause__ = second, first
    with logs.request("r-1"):
        assert logs.TextFormatter().format(record(first)).count("ValueError") == 2


def test_what_one_formatter_shows_does_not_leak_into_another():
    shared = record(raised(ValueError(MARKER)))
    with logs.request("r-1"):
        assert MARKER in logs.TextFormatter(hides_words=False).format(shared)
        assert MARKER not in logs.TextFormatter().format(shared)


def test_a_line_from_another_thread_may_carry_its_id():
    line = json.loads(logs.JsonFormatter().format(record(request_id="r-9")))
    assert (line["request_id"], line["message"]) == ("r-9", "what happened")


def test_a_line_stays_one_line_and_keeps_every_script():
    line = logs.JsonFormatter().format(record(args=("a\nb \u00e4 \u4f60",)))
    assert "\n" not in line
    assert json.loads(line)["message"] == "what a\nb \u00e4 \u4f60"


def test_a_process_that_logs_json_writes_nothing_else_on_stderr():
    program = (
        "from firstaudio.server import logs, lifecycle; import logging, sys\n"
        "logs.set_up('warning', 'json'); logs.say('ready on http://127.0.0.1:1', 'json')\n"
        "logging.getLogger('firstaudio.x').warning('w'); logging.getLogger('uvicorn.error').error('e')\n"
        "logging.getLogger('firstaudio.x').info('not this')\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    told = [json.loads(line) for line in run.stderr.splitlines()]
    assert [line["message"] for line in told] == ["ready on http://127.0.0.1:1", "w", "e"]


def test_the_format_is_text_unless_set():
    assert ServerConfig().log_format == "text"
    assert Config(server=ServerConfig(log_format="json")).server.log_format == "json"
