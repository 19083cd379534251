"""API keys, CORS, and the last net for mistakes of our own."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from firstaudio.server import middleware

PROTECTED = ["/v1/audio/voices", "/v1/models", "/v1/capabilities", "/openapi.json", "/docs", "/v1/nothing"]


@pytest.fixture(scope="module")
def guarded(tools: Any) -> Iterator[Any]:
    with tools.run(tools.settings(api_keys=("first-key", "zweiter-schlüssel"))) as running:
        yield running


@pytest.mark.parametrize("path", ["/", "/v1/", "/health", "/ready"])
def test_probes_need_no_key(guarded: Any, path: str):
    assert guarded.get(path).status == 200


@pytest.mark.parametrize("path", PROTECTED)
def test_everything_else_needs_a_key(guarded: Any, path: str):
    reply = guarded.get(path)
    assert (reply.status, reply.error["code"]) == (401, "invalid_api_key")
    assert reply.error["type"] == "authentication_error"
    assert reply.headers["www-authenticate"] == "Bearer"
    assert reply.headers["x-request-id"]


def test_a_request_without_a_key_is_refused_before_its_body_is_read(guarded: Any, tools: Any):
    with guarded.connect() as connection:
        connection.sendall(b"POST /v1/audio/speech HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n")
        assert tools.read_until(connection, b"\r\n").startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize(
    "authorization",
    ["Bearer", "Bearer ", "Bearer wrong", "Bearer first-key2", "Bearer first-ke", "Basic first-key", "first-key"],
)
def test_a_wrong_key_is_refused(guarded: Any, authorization: str):
    assert guarded.get("/v1/models", authorization=authorization).status == 401


@pytest.mark.parametrize("authorization", ["Bearer first-key", "bearer first-key", "Bearer  first-key "])
def test_a_known_key_opens_the_door(guarded: Any, authorization: str):
    assert guarded.get("/v1/models", authorization=authorization).status == 200


def test_a_key_outside_ascii_is_compared_as_the_client_encodes_it(guarded: Any):
    as_utf8 = "zweiter-schlüssel".encode().decode("latin-1")
    assert guarded.get("/v1/models", authorization=f"Bearer {as_utf8}").status == 200


def test_without_keys_none_is_asked_for(server: Any):
    assert server.get("/v1/models").status == 200


def test_cors_is_off_unless_configured(server: Any):
    assert server.get("/", origin="https://a.example").headers["access-control-allow-origin"] is None


def test_a_configured_origin_may_call_and_read_our_headers(tools: Any):
    with tools.run(tools.settings(cors_origins=("https://a.example",), api_keys=("key",))) as running:
        preflight = running.request(
            "OPTIONS", "/v1/audio/speech", origin="https://a.example", access_control_request_method="POST"
        )
        assert preflight.status == 200
        refused = running.get("/v1/models", origin="https://a.example")
        assert refused.status == 401
        assert refused.headers["access-control-allow-origin"] == "https://a.example"
        exposed = refused.headers["access-control-expose-headers"].split(", ")
        assert {"X-Request-ID", "X-Voice", "X-Runtime", "X-Decode", "X-Warmth", "X-Failover"} <= set(exposed)
        assert running.get("/", origin="https://b.example").headers["access-control-allow-origin"] is None


@pytest.mark.parametrize(
    ("origin", "method", "named"), [("https://b.example", "POST", "origin"), ("https://a.example", "PUT", "method")]
)
def test_a_page_that_may_not_call_is_told_so_in_the_one_shape(tools: Any, origin: str, method: str, named: str):
    with tools.run(tools.settings(cors_origins=("https://a.example",))) as running:
        preflight = running.request("OPTIONS", "/v1/audio/speech", origin=origin, access_control_request_method=method)
        assert (preflight.status, preflight.error["code"]) == (400, "invalid_request")
        assert f"Disallowed CORS {named};" in preflight.error["message"]
        assert preflight.headers["vary"].startswith("Origin")


async def test_a_mistake_of_our_own_is_a_500_in_the_one_shape_and_logged_with_its_id(caplog: pytest.LogCaptureFixture):
    async def broken(*_: Any) -> None:
        raise ZeroDivisionError

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"x-request-id", b"id-7")]}
    await middleware.RequestContext(broken)(scope, None, send)  # type: ignore[arg-type]
    assert sent[0]["status"] == 500
    assert (b"x-request-id", b"id-7") in sent[0]["headers"]
    assert b'"code":"internal_error"' in sent[1]["body"]
    assert "ZeroDivisionError" in caplog.text
    assert "id=id-7" in caplog.text


async def test_a_mistake_after_the_first_byte_sends_nothing_more():
    sent: list[Any] = []

    async def broken(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ZeroDivisionError

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    await middleware.RequestContext(broken)(scope, None, send)  # type: ignore[arg-type]
    assert [message["type"] for message in sent] == ["http.response.start"]


async def test_a_request_that_the_shutdown_cuts_off_before_its_first_byte_is_503():
    sent: list[Any] = []

    async def endless(*_: Any) -> None:
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    task = asyncio.create_task(middleware.RequestContext(endless)(scope, None, send))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    task.cancel()
    await task
    assert sent[0]["status"] == 503


async def test_a_rehearsal_that_is_called_off_is_no_shutdown(caplog: pytest.LogCaptureFixture):
    caplog.set_level("INFO")
    sent: list[Any] = []

    async def endless(*_: Any) -> None:
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"x-request-id", b"called-off")]  # in each line of it; those of other tests' requests may come late
    scope = {"type": "http", "method": "GET", "path": "/", "headers": headers, "state": {"origin": "warmup"}}
    task = asyncio.create_task(middleware.RequestContext(endless)(scope, None, send))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sent == []
    assert "called-off" not in caplog.text


def test_the_log_holds_no_text_of_the_user(server: Any, tools: Any, caplog: pytest.LogCaptureFixture):
    def ours() -> str:
        return "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("firstaudio"))

    caplog.set_level("INFO")
    server.speak(input="Mein Geheimnis")
    server.get("/v1/models?text=Mein+Geheimnis")
    server.get("/v1/nothing%0d%0aforged")
    tools.eventually(lambda: "path='/v1/nothing\\r\\nforged' status=404" in ours())
    assert "outcome=completed" in ours()
    assert "Geheimnis" not in ours()


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://elsewhere.example"},
        {"origin": "null"},
        {"origin": "https://elsewhere.example", "sec-fetch-site": "cross-site"},
        {"origin": "http://localhost:1", "sec-fetch-site": "same-site"},
    ],
)
def test_a_page_of_another_origin_cannot_act_here(server: Any, headers: dict[str, str]):
    reply = server.request("POST", "/benchmarks/optimization/reset", **headers)

    assert (reply.status, reply.error["code"]) == (403, "foreign_origin")


@pytest.mark.parametrize("headers", [{}, {"origin": "https://behind-a-proxy.example", "sec-fetch-site": "same-origin"}])
def test_programs_and_pages_of_our_own_can(server: Any, headers: dict[str, str]):
    assert server.request("POST", "/benchmarks/optimization/reset", **headers).status == 200
