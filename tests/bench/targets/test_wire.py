import asyncio

import pytest

from firstaudio.bench.exchange import Exchange, FailureKind, SpeakError
from firstaudio.bench.targets.connection import Connection, request_head, split_url, with_body
from firstaudio.bench.targets.wire import Limits

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
SMALL = Limits(head=500, body=1000, refusal=100)


async def connection_to(url: str) -> tuple[Connection, bytes]:
    origin, _ = split_url(url)
    return Connection(origin, SMALL), with_body(request_head("POST", "/speak", origin, {}), b"{}")


async def ask(url: str) -> Exchange:
    connection, request = await connection_to(url)
    exchange = Exchange()
    try:
        await connection.send(request, exchange)
    except SpeakError as error:
        exchange.failure = error.failure
    finally:
        connection.close()
    return exchange


def sending(*pieces: bytes, keep_open: bool = False):
    """A handler that answers one request with these bytes, and then closes or waits."""

    async def handler(peer) -> None:
        await peer.request()
        for piece in pieces:
            await peer.send(piece)
            await asyncio.sleep(0)
        if keep_open:
            await peer.gone()

    return handler


def body_of(exchange: Exchange) -> bytes:
    return b"".join(exchange.pieces)


def kind_of(exchange: Exchange) -> FailureKind | None:
    return exchange.failure.kind if exchange.failure else None


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"Content-Length: 5\r\n\r\nhello",
        CHUNKED + b"2\r\nhe\r\n3;ext=1\r\nllo\r\n0\r\n\r\n",
        CHUNKED + b"5\r\nhello\r\n0\r\nX-Trailer: late\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
        + OK
        + b"Content-Length: 5\r\n\r\nhello",
        OK + b"\r\nhello",
        b"HTTP/1.0 200 OK\r\n\r\nhello",
    ],
    ids=["length", "chunked", "trailers", "interim answers", "until close", "HTTP/1.0"],
)
@pytest.mark.parametrize("split", [None, 1, 7])
async def test_a_body_arrives_whole_however_its_end_is_told(loopback, answer: bytes, split: int | None):
    pieces = [answer] if split is None else [answer[i : i + split] for i in range(0, len(answer), split)]
    exchange = await ask(await loopback.start(sending(*pieces)))

    assert exchange.failure is None
    assert body_of(exchange) == b"hello"
    assert exchange.status == 200
    assert exchange.headers_ns is not None
    assert exchange.sent_ns < exchange.headers_ns <= exchange.arrivals_ns[0] <= exchange.last_byte_ns


async def test_pieces_keep_the_borders_of_chunks_and_the_stamp_of_their_read(loopback):
    exchange = await ask(await loopback.start(sending(CHUNKED + b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n")))

    assert exchange.pieces == [b"he", b"llo"]
    assert len({exchange.headers_ns, *exchange.arrivals_ns, exchange.last_byte_ns}) == 1


async def test_a_later_read_has_a_later_stamp(loopback):
    first_read = asyncio.Event()

    async def handler(peer) -> None:
        await peer.request()
        await peer.send(OK + b"Content-Length: 4\r\n\r\nab")
        await first_read.wait()
        await peer.send(b"cd")

    connection, request = await connection_to(await loopback.start(handler))
    exchange = Exchange()
    task = asyncio.create_task(connection.send(request, exchange))
    while not exchange.pieces:  # noqa: ASYNC110 (an exchange tells nobody)
        await asyncio.sleep(0)
    first_read.set()
    await task
    connection.close()

    assert exchange.pieces == [b"ab", b"cd"]
    assert exchange.arrivals_ns[0] < exchange.arrivals_ns[1] == exchange.last_byte_ns


async def test_header_fields_of_one_name_are_joined_and_trailers_kept_out(loopback):
    answer = OK + b"X-A: 1\r\nx-a: 2\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX-A: 3\r\n\r\n"
    exchange = await ask(await loopback.start(sending(answer)))

    assert exchange.headers["x-a"] == "1, 2"


async def test_an_empty_body_is_a_complete_answer(loopback):
    exchange = await ask(await loopback.start(sending(OK + b"Content-Length: 0\r\n\r\n")))

    assert (exchange.failure, exchange.pieces) == (None, [])
    assert exchange.last_byte_ns is not None


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (b"", FailureKind.DISCONNECTED, "without an answer"),
        (OK + b"Content-Le", FailureKind.DISCONNECTED, "before the body"),
        (OK + b"Content-Length: 9\r\n\r\nhello", FailureKind.DISCONNECTED, "after 5 bytes"),
        (CHUNKED + b"5\r\nhello\r\n", FailureKind.DISCONNECTED, "after 5 bytes"),
        (b"SSH-2.0-OpenSSH\r\n", FailureKind.PROTOCOL, "does not speak HTTP, it began with b'SSH-2.0"),
        (b"\x15\x03\x01\x00\x02\x02\x28", FailureKind.PROTOCOL, "write https://"),
        (CHUNKED + b"zz\r\nhello\r\n", FailureKind.PROTOCOL, "in the middle"),
        (OK + b"X: " + 600 * b"y", FailureKind.PROTOCOL, "500 bytes of header fields"),
        (CHUNKED + b"1\r\nx\r\n0\r\n" + 60 * b"Trailer: value\r\n", FailureKind.PROTOCOL, "header fields"),
        (OK + b"Content-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx", FailureKind.PROTOCOL, "compressed"),
        (b"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n", FailureKind.PROTOCOL, "another"),
        (OK + b"\r\n" + 1001 * b"z", FailureKind.ENDLESS, "more than 1,000 bytes"),
    ],
)
async def test_what_is_no_complete_answer_fails_with_one_sentence(loopback, answer: bytes, kind, words: str):
    exchange = await ask(await loopback.start(sending(answer)))

    assert exchange.failure is not None
    assert kind == exchange.failure.kind
    assert words in exchange.failure.message
    assert "\n" not in exchange.failure.message
    assert exchange.last_byte_ns is None


async def test_an_endless_stream_is_cut_off_while_the_server_still_sends(loopback):
    async def handler(peer) -> None:
        await peer.request()
        await peer.send(CHUNKED)
        while True:
            await peer.send(b"64\r\n" + 100 * b"a" + b"\r\n")

    exchange = await ask(await loopback.start(handler))

    assert FailureKind.ENDLESS is kind_of(exchange)
    assert 1000 < len(body_of(exchange)) <= 1100


async def test_of_a_long_refusal_only_the_beginning_is_read(loopback):
    answer = b"HTTP/1.1 500 No\r\nContent-Length: 1000000\r\n\r\n" + 200 * b"x"
    exchange = await ask(await loopback.start(sending(answer, keep_open=True)))

    assert (exchange.failure, exchange.status) == (None, 500)
    assert len(body_of(exchange)) == 200


async def speak_twice(connection: Connection, request: bytes) -> tuple[Exchange, Exchange]:
    first, second = Exchange(), Exchange()
    await connection.send(request, first)
    await connection.send(request, second)
    connection.close()
    return first, second


async def test_a_kept_connection_is_used_again(loopback):
    url = await loopback.answer(lambda _: OK + b"Content-Length: 2\r\n\r\nhi")
    first, second = await speak_twice(*await connection_to(url))

    assert first.connected_ns is not None
    assert first.connected_ns < first.sent_ns
    assert second.connected_ns is None
    assert (body_of(second), loopback.num_connections) == (b"hi", 1)


async def test_a_connection_that_the_server_does_not_keep_is_made_anew(loopback):
    url = await loopback.answer(lambda _: OK + b"Connection: close\r\nContent-Length: 2\r\n\r\nhi")
    _first, second = await speak_twice(*await connection_to(url))

    assert second.connected_ns is not None
    assert (body_of(second), loopback.num_connections) == (b"hi", 2)


async def test_a_request_that_met_a_closed_connection_is_sent_once_more(loopback, monkeypatch):
    """The server closes when it reads the second request: as if it had closed while the request was on its way."""

    async def handler(peer) -> None:
        await peer.request()
        await peer.send(OK + b"Content-Length: 2\r\n\r\nhi")
        if loopback.num_connections == 1:
            await peer.request()
        else:
            await peer.gone()

    monkeypatch.setattr("firstaudio.bench.targets.connection.STALE_NS", 10**10)  # however busy this machine is
    _first, second = await speak_twice(*await connection_to(await loopback.start(handler)))

    assert second.connected_ns is not None
    assert second.connected_ns < second.sent_ns
    assert (body_of(second), loopback.num_connections) == (b"hi", 2)


async def test_a_request_whose_connection_is_closed_later_is_not_sent_again(loopback):
    """Nothing comes sooner than at once: the server took the request and then broke off."""

    async def handler(peer) -> None:
        await peer.request()
        await peer.send(OK + b"Content-Length: 2\r\n\r\nhi")
        await peer.request()

    connection, request = await connection_to(await loopback.start(handler))
    await connection.send(request, Exchange())
    connection._stale_ns = 0
    with pytest.raises(SpeakError, match="without an answer"):
        await connection.send(request, Exchange())

    assert loopback.num_connections == 1


async def test_a_request_that_had_part_of_an_answer_is_not_sent_again(loopback):
    async def handler(peer) -> None:
        await peer.request()
        await peer.send(OK + b"Content-Length: 2\r\n\r\nhi")
        await peer.request()
        await peer.send(OK + b"Content-Length: 2\r\n\r\nh")

    connection, request = await connection_to(await loopback.start(handler))
    with pytest.raises(SpeakError, match="after 1 bytes"):
        await speak_twice(connection, request)

    assert loopback.num_connections == 1


async def test_a_first_request_without_an_answer_is_not_sent_again(loopback):
    exchange = await ask(await loopback.start(sending()))

    assert (kind_of(exchange), loopback.num_connections) == (FailureKind.DISCONNECTED, 1)


async def test_bytes_that_nobody_asked_for_end_the_connection(loopback):
    url = await loopback.answer(lambda _: OK + b"Content-Length: 2\r\n\r\nhiHTTP/1.1 408 Too late\r\n\r\n")
    _, second = await speak_twice(*await connection_to(url))

    assert second.connected_ns is not None
    assert body_of(second) == b"hi"


async def test_a_cancelled_request_leaves_the_connection_usable(loopback):
    answers = iter([OK + b"Content-Length: 9\r\n\r\nhalf", OK + b"Content-Length: 2\r\n\r\nhi"])
    url = await loopback.answer(lambda _: next(answers))
    connection, request = await connection_to(url)
    cut, whole = Exchange(), Exchange()
    task = asyncio.create_task(connection.send(request, cut))
    while not cut.pieces:  # noqa: ASYNC110 (an exchange tells nobody)
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await connection.send(request, whole)
    connection.close()

    assert (body_of(cut), cut.last_byte_ns) == (b"half", None)
    assert (body_of(whole), loopback.num_connections) == (b"hi", 2)
