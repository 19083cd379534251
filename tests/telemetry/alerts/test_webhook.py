"""Payloads arrive, or are counted as lost; nobody waits for them."""

from __future__ import annotations

import base64
import http.server
import json
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from firstaudio.config import TelemetryConfig
from firstaudio.errors import ConfigError
from firstaudio.telemetry.alerts import webhook
from firstaudio.telemetry.alerts.webhook import Webhook, WebhookStatistics

PATIENCE_S = 20.0
Answer = Callable[[http.server.BaseHTTPRequestHandler], None]


def status(code: int, **headers: str) -> Answer:
    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


@dataclass
class Listener:
    """A server that answers as its script says, then with 200."""

    url: str
    script: list[Answer] = field(default_factory=list)
    heard: list[dict] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)
    ended: threading.Event = field(default_factory=threading.Event)

    def wait_for(self, num_heard: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.heard) >= num_heard, PATIENCE_S)

    def hang(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        """Say nothing until the test is over."""
        assert self.ended.wait(PATIENCE_S)

    def drip(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        """Send a byte now and then, and never the end."""
        try:
            while not self.ended.wait(0.02):
                handler.wfile.write(b"H")
        except OSError:
            self.ended.wait(PATIENCE_S)


@pytest.fixture
def listener() -> Iterator[Listener]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            with here.changed:
                answer = here.script.pop(0) if here.script else status(200)
                here.heard.append(json.loads(body))
                here.headers.append(dict(self.headers))
                here.paths.append(self.path)
                here.changed.notify_all()
            answer(self)

        def log_message(self, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    here = Listener(f"http://127.0.0.1:{server.server_address[1]}/hook")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield here
    here.ended.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def hooks() -> Iterator[Callable[..., Webhook]]:
    """Makes webhooks that hurry, and closes them."""
    made: list[Webhook] = []

    def make(url: str, **options: object) -> Webhook:
        made.append(Webhook(url, **{"delays_s": (0.0, 0.0, 0.0), "timeout_s": PATIENCE_S} | options))
        return made[-1]

    yield make
    for hook in made:
        hook.close()
    assert "webhook" not in {thread.name for thread in threading.enumerate()}


def test_a_payload_arrives_as_json(listener: Listener, hooks):
    hook = hooks(listener.url + "?channel=1")
    hook.send({"text": "Grüße"})
    hook.close()
    assert (listener.heard, listener.paths) == ([{"text": "Grüße"}], ["/hook?channel=1"])
    assert listener.headers[0]["Content-Type"] == "application/json"
    assert hook.statistics() == WebhookStatistics(1, 0, 0, 0, "")


def test_nothing_is_started_for_nothing(hooks):
    hook = hooks("http://127.0.0.1:9/")
    assert "webhook" not in {thread.name for thread in threading.enumerate()}
    hook.close()


def test_a_server_that_fails_is_asked_again_until_it_works(listener: Listener, hooks):
    listener.script = [status(500), status(503), status(429)]
    hook = hooks(listener.url)
    hook.send({"n": 1})
    listener.wait_for(4)
    hook.close()
    assert listener.heard == [{"n": 1}] * 4
    assert hook.statistics() == WebhookStatistics(1, 0, 0, 0, "")


def test_what_is_never_taken_is_given_up_counted_and_told_once(listener: Listener, hooks, caplog):
    listener.script = [status(500)] * 8
    hook = hooks(listener.url)
    with caplog.at_level(logging.INFO, "firstaudio"):
        for n in (1, 2, 3):
            hook.send({"n": n})
        listener.wait_for(9)
        hook.close()
    assert [payload["n"] for payload in listener.heard] == [1] * 4 + [2] * 4 + [3]
    assert hook.statistics() == WebhookStatistics(1, 2, 0, 0, "")
    assert [record.message for record in caplog.records] == [
        "the webhook at 127.0.0.1 did not take a payload: it answered 500",
        "the webhook at 127.0.0.1 takes payloads again",
    ]


@pytest.mark.parametrize("code", [400, 404, 302])
def test_an_answer_that_will_not_change_is_not_asked_for_again(listener: Listener, hooks, code: int):
    listener.script = [status(code, Location="http://elsewhere.invalid/")]
    hook = hooks(listener.url)
    hook.send({})
    listener.wait_for(1)
    hook.close()
    figures = hook.statistics()
    assert (figures.num_sent, figures.num_failed, len(listener.heard)) == (0, 1, 1)
    assert str(code) in figures.problem


@pytest.mark.parametrize("way", ["hang", "drip"])
def test_a_server_that_never_answers_is_left_in_time(listener: Listener, hooks, way: str):
    listener.script = [getattr(listener, way)]
    hook = hooks(listener.url, timeout_s=0.2)
    hook.send({"n": 1})
    listener.wait_for(2)
    hook.close()
    assert hook.statistics().num_sent == 1


def test_why_a_server_was_left_is_told(listener: Listener, hooks):
    listener.script = [listener.drip]
    hook = hooks(listener.url, timeout_s=0.1, delays_s=())
    hook.send({})
    listener.wait_for(1)
    hook.close()
    assert hook.statistics().problem == "no answer within 0.1 s"


def test_nobody_waits_for_a_server_that_hangs(listener: Listener, hooks):
    """`send` returns and `close` ends the exchange while the server says nothing."""
    listener.script = [listener.hang]
    hook = hooks(listener.url)
    hook.send({"n": 1})
    listener.wait_for(1)
    hook.send({"n": 2})
    hook.close(grace_s=0.0)
    figures = hook.statistics()
    assert (figures.num_sent, figures.num_failed, figures.num_dropped) == (0, 1, 1)


def test_the_oldest_goes_where_too_many_wait(listener: Listener, hooks):
    listener.script = [listener.hang]
    hook = hooks(listener.url)
    hook.send({"n": -1})
    listener.wait_for(1)
    for n in range(webhook.MAX_WAITING + 3):
        hook.send({"n": n})
    assert (hook.statistics().num_waiting, hook.statistics().num_dropped) == (webhook.MAX_WAITING, 3)
    listener.ended.set()
    hook.close(grace_s=PATIENCE_S)
    assert [payload["n"] for payload in listener.heard] == [-1, *range(3, webhook.MAX_WAITING + 3)]


def test_a_pause_between_attempts_does_not_delay_the_end(listener: Listener, hooks):
    listener.script = [status(500)]
    hook = hooks(listener.url, delays_s=(3600.0,))
    hook.send({})
    listener.wait_for(1)
    hook.close(grace_s=PATIENCE_S)
    assert (hook.statistics().num_failed, len(listener.heard)) == (1, 1)


def test_after_the_end_nothing_is_taken(hooks):
    hook = hooks("http://127.0.0.1:9/")
    hook.close()
    hook.send({})
    assert hook.statistics().num_dropped == 1


def test_nobody_there_is_a_failure(hooks):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: nobody else gets it, and connecting is refused
        hook = hooks(f"http://127.0.0.1:{taken.getsockname()[1]}/", delays_s=())
        hook.send({})
        hook.close(grace_s=PATIENCE_S)
    assert hook.statistics().num_failed == 1
    assert "refused" in hook.statistics().problem


def test_a_user_in_the_address_is_sent_as_authentication(listener: Listener, hooks):
    hook = hooks(listener.url.replace("//", "//me:p%40ss@"))
    hook.send({})
    hook.close()
    assert listener.headers[0]["Authorization"] == "Basic " + base64.b64encode(b"me:p@ss").decode()


def test_what_is_secret_in_an_address_is_in_no_log(listener: Listener, hooks, caplog):
    listener.script = [status(404)]
    hook = hooks(listener.url + "/SECRET")
    with caplog.at_level(logging.DEBUG):
        hook.send({})
        listener.wait_for(1)
        hook.close()
    assert "did not take" in caplog.text
    assert "SECRET" not in caplog.text + hook.statistics().problem


@pytest.mark.parametrize(
    "url",
    [
        *(
            "ftp://host/",
            "file:///etc/passwd",
            "example.org/path",
            "",
            "http://",
            "http://host:99999/",
            "http://host:0/",
        ),
        *("http://ho st/", "http://host/a\r\nX: y", "http://host/ü", f"http://{'a' * 70}.com/", "http://[::1/"),
    ],
)
def test_what_cannot_be_posted_to_is_refused_without_being_shown(url: str):
    with pytest.raises(ConfigError, match=r"some\.setting is no address") as refusal:
        Webhook(url, "some.setting")
    assert not url.strip("htp:/") or url not in refusal.value.message


def test_a_wrong_address_is_found_when_the_settings_are_read():
    with pytest.raises(ConfigError, match=r"telemetry\.webhook_url"):
        TelemetryConfig(webhook_url="ftp://host/SECRET")


def test_what_is_no_json_is_the_callers_mistake(hooks):
    hook = hooks("http://127.0.0.1:9/")
    with pytest.raises(ValueError, match="JSON"):
        hook.send({"ms": float("inf")})
