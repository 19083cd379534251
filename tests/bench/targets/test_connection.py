import asyncio
import socket
import ssl
from pathlib import Path

import pytest

from firstaudio.bench.exchange import Exchange, FailureKind, SpeakError
from firstaudio.bench.targets.connection import Connection, Origin, fetch, request_head, split_url, with_body
from firstaudio.errors import BenchError

CERTIFICATE = Path(__file__).with_name("localhost.pem")  # self-signed, of no other use
HI = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


@pytest.mark.parametrize(
    ("url", "origin", "target", "authority"),
    [
        ("http://host", Origin("host", 80), "", "host"),
        ("https://Host/v1?a=b", Origin("host", 443, True), "/v1?a=b", "host"),
        ("http://[::1]:8000/", Origin("::1", 8000), "/", "[::1]:8000"),
        ("http://bücher.example:81", Origin("xn--bcher-kva.example", 81), "", "xn--bcher-kva.example:81"),
    ],
)
def test_a_url_is_a_server_and_a_target(url: str, origin: Origin, target: str, authority: str):
    assert (origin, target) == split_url(url)
    assert authority == origin.authority


@pytest.mark.parametrize(
    "url", ["", "localhost:8000", "ftp://host", "http://", "http://host:99999", "http://[::1", "http://a:b@host"]
)
def test_what_is_no_url_is_told(url: str):
    with pytest.raises(BenchError, match=r"write it as http|state a token"):
        split_url(url)


def test_a_request_is_these_bytes():
    head = request_head("POST", "/a b?ü=1", Origin("::1", 8000), {"X-A": "1"})

    assert head == (
        b"POST /a%20b?%C3%BC=1 HTTP/1.1\r\nHost: [::1]:8000\r\n"
        b"Accept-Encoding: identity\r\nUser-Agent: firstaudio-bench\r\nX-A: 1"
    )
    assert with_body(b"HEAD", b"{}") == b"HEAD\r\nContent-Length: 2\r\n\r\n{}"
    assert with_body(b"HEAD", None) == b"HEAD\r\n\r\n"


@pytest.mark.parametrize("value", ["a\r\nEvil: 1", "pass\n", "\x00", "schlüssel"])
def test_a_header_that_cannot_be_sent_is_told_without_its_value(value: str):
    with pytest.raises(BenchError) as caught:
        request_head("GET", "/", Origin("host", 80), {"Authorization": value})

    assert "'Authorization'" in str(caught.value)
    assert value not in str(caught.value)


async def test_fetch_gives_whatever_came(loopback):
    url = await loopback.answer(
        lambda request: (
            b"HTTP/1.1 404 No\r\nX-A: 1\r\nContent-Length: %d\r\n\r\n%b"
            % (len(request.target), request.target.encode())
        )
    )

    assert await fetch("GET", url + "/a?b") == (404, {"x-a": "1", "content-length": "4"}, b"/a?b")


async def test_fetch_does_not_wait_for_ever(loopback):
    async def silent(peer) -> None:
        await peer.gone()

    with pytest.raises(SpeakError, match=r"did not answer within 0\.01 s") as caught:
        await fetch("GET", await loopback.start(silent), timeout_s=0.01)

    assert FailureKind.TIMEOUT is caught.value.failure.kind


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
async def test_ipv6_is_spoken(loopback):
    async def handler(peer) -> None:
        await peer.request()
        await peer.send(HI)

    try:
        url = await loopback.start(handler, host="::1")
    except OSError:
        pytest.skip("no IPv6 loopback here")

    assert (await fetch("GET", url))[::2] == (200, b"hi")


def server_tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


async def greet(peer) -> None:
    await peer.request()
    await peer.send(HI)


async def test_tls_is_spoken_and_its_making_counts_as_connecting(loopback):
    origin, _ = split_url(await loopback.start(greet, server_tls()), verify_tls=False)
    connection, exchange = Connection(origin), Exchange()
    await connection.send(with_body(request_head("GET", "/", origin, {}), None), exchange)
    connection.close()

    assert exchange.pieces == [b"hi"]
    assert exchange.connected_ns < exchange.sent_ns


async def unreachable_message(url: str) -> str:
    with pytest.raises(SpeakError) as caught:
        await fetch("GET", url)
    assert FailureKind.UNREACHABLE is caught.value.failure.kind
    assert "\n" not in str(caught.value)
    return str(caught.value)


async def test_a_certificate_that_is_not_trusted_is_told(loopback):
    message = await unreachable_message(await loopback.start(greet, server_tls()))

    assert "certificate is not trusted (self-signed certificate)" in message


async def test_plain_text_where_tls_was_asked_for_is_told(loopback):
    url = await loopback.start(sending_garbage)

    assert "write http://" in await unreachable_message(url.replace("http:", "https:"))


async def sending_garbage(peer) -> None:
    await peer.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    await asyncio.sleep(0)


async def test_a_port_where_nobody_listens_is_told():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    assert "nothing listens there: start the server" in await unreachable_message(f"http://127.0.0.1:{port}")


async def test_a_host_that_does_not_exist_is_told(monkeypatch):
    async def nowhere(*_, **__):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", nowhere)

    assert "there is no host 'nowhere.invalid'" in await unreachable_message("http://nowhere.invalid")
