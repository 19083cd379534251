"""A server that is asked something: what it refuses, what it breaks off, and what cannot be asked."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from firstaudio.cli import client
from firstaudio.cli.client import MAX_LOST, ServerClient, key_for, url_of
from firstaudio.config import ServerConfig
from firstaudio.errors import BenchError, ConfigError, FirstaudioError, NotReadyError, UnauthorizedError

HEAD = b"HTTP/1.1 %s\r\nConnection: close\r\nContent-Length: %d\r\n%s\r\n"


def answer(body: object, status: bytes = b"200 OK", fields: bytes = b"") -> bytes:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HEAD % (status, len(data), fields) + data


def whole(connection: socket.socket) -> bytes:
    """A request with its body; empty: there came none."""
    request = connection.recv(65_536)
    length = re.search(rb"Content-Length: (\d+)", request)
    while length and len(request.partition(b"\r\n\r\n")[2]) < int(length[1]):
        request += connection.recv(65_536)
    return request


@contextmanager
def scripted(*answers: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """A server that gives these answers, the last one again and again, and closes; its URL, and what it was asked."""
    asked: list[bytes] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                if not (request := whole(connection)):
                    return
                asked.append(request)
                connection.sendall(answers[min(len(asked), len(answers)) - 1])

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}", asked
        finally:
            socket.create_connection(server.getsockname()).close()  # an empty request ends it
            thread.join()


def no_pause(_: float) -> None:
    pass


@pytest.mark.parametrize(
    ("sent", "error", "said"),
    [
        (answer({"error": {"message": "no room"}}, b"409 Conflict"), BenchError, "refuses: no room"),
        (answer(b"<html>", b"502 Bad Gateway"), BenchError, "refuses: 502 Bad Gateway; is it a firstaudio server"),
        (answer(b"", b"599 Odd"), BenchError, "refuses: 599; is it a firstaudio server"),
        (answer({"error": {"message": "no key"}}, b"401 Unauthorized"), UnauthorizedError, "no key; give its key with"),
        (answer({"error": {"message": "starting"}}, b"503 Slow"), NotReadyError, "refuses: starting"),
        (answer(b"", b"307 Moved", b"Location: /en/\r\n"), BenchError, r"has moved \(/en/\); give --url"),
        (answer(b"<html>"), BenchError, "is no JSON object: is it a firstaudio server"),
        (answer([]), BenchError, "is no JSON object"),
        (answer(b"\xff"), BenchError, "is no JSON object"),
        (b"", NotReadyError, "closed the connection"),
        (b"nonsense\r\n\r\n", BenchError, "broke its answer off"),
        (HEAD % (b"200 OK", 99, b"") + b"{", BenchError, "broke its answer off"),
    ],
)
def test_whatever_is_not_the_answer_is_told_in_a_sentence(sent: bytes, error: type[FirstaudioError], said: str) -> None:
    with scripted(sent) as (url, _), pytest.raises(error, match=said):
        ServerClient(url, None).ask("GET", "/status")


def test_what_an_answer_lacks_is_named_wherever_it_is_looked_up() -> None:
    with scripted(answer({"status": {"progress": 0.5}})) as (url, _):
        found = ServerClient(url, None).ask("GET", "/benchmarks/status")

    assert found["status"]["progress"] == 0.5
    with pytest.raises(BenchError, match="has no 'benchmark_id': is it a firstaudio server of this version"):
        found["status"]["benchmark_id"]


def test_a_server_that_says_nothing_is_given_up_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(NotReadyError, match=r"did not answer within 0\.01 s"):
            ServerClient(url, None).ask("GET", "/status", timeout_s=0.01)


def test_where_nobody_listens_the_command_that_starts_one_is_named() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        with pytest.raises(NotReadyError, match=r"no server answers at .*start it with `firstaudio serve`"):
            ServerClient(url, None).ask("GET", "/status")


@pytest.mark.parametrize(
    "url",
    [
        "nowhere",
        "",
        "ftp://host",
        "http://",
        "http://host:99999",
        "http://host:0",
        "http://host:x",
        "http://[::1",
        "http://a b",
        "http://host/\n",
        "http://hést",
        "http://host/?voice=x",
        "http://host/#x",
        "http://user:secret@host",
        "http://" + "a" * 70,
    ],
)
def test_what_is_no_address_is_refused_before_anything_is_sent(url: str) -> None:
    with pytest.raises(ConfigError, match=r"is no address of a server; give one such as http://127\.0\.0\.1:8000"):
        ServerClient(url, None)


@pytest.mark.parametrize("token", ["line\nbreak", "schlüssel", "\x00"])
def test_a_key_that_cannot_be_sent_is_refused_and_not_shown(token: str) -> None:
    with pytest.raises(ConfigError, match="characters that HTTP cannot carry") as caught:
        ServerClient("http://127.0.0.1", token)
    assert token not in str(caught.value)


def test_the_path_of_the_address_is_kept_and_the_key_is_sent() -> None:
    with scripted(answer({})) as (url, asked):
        ServerClient(f"{url}/speech/", "secret").ask("GET", "/status")

    assert asked[0].startswith(b"GET /speech/status HTTP/1.1\r\n")
    assert b"Authorization: Bearer secret\r\n" in asked[0]


STARTED = answer({"benchmark_id": "bench_1", "estimated_duration_s": 30.0})
BUSY = answer({"status": {"benchmark_id": "bench_1", "progress": 0.5, "current_test": None}, "last_execution": None})
OVER = {"status": {"benchmark_id": None}, "last_execution": None}
CARD = {"id": "bench_1", "status": "succeeded"}
KEPT, NONE_KEPT = answer({"runs": [CARD]}), answer({"runs": []})
GONE = b""


def begun(url: str, say: Callable[[str], None] = lambda _: None) -> dict[str, object]:
    return ServerClient(url, None, no_pause).benchmark({"benchmark_type": "ttfa"}, say)


def test_a_few_answers_that_do_not_come_do_not_end_the_wait() -> None:
    lost = [GONE] * (MAX_LOST - 1)
    with scripted(STARTED, *lost, BUSY, *lost, answer(OVER), KEPT) as (url, asked):
        said: list[str] = []
        assert begun(url, said.append) == CARD

    assert said == [f"bench_1 has begun at {url}; about 30 s", " 50% beginning"]
    assert len(asked) == 2 * (MAX_LOST - 1) + 4


def test_a_server_that_stays_away_ends_the_wait() -> None:
    with scripted(STARTED, BUSY, GONE) as (url, asked), pytest.raises(NotReadyError, match="closed the connection"):
        begun(url)
    assert len(asked) == 2 + MAX_LOST


def test_a_run_that_was_not_kept_is_the_last_one() -> None:
    with scripted(STARTED, answer(OVER | {"last_execution": CARD}), NONE_KEPT) as (url, _):
        assert begun(url) == CARD


def test_a_run_that_nobody_knows_any_more_is_an_error() -> None:
    with scripted(STARTED, answer(OVER), NONE_KEPT) as (url, _), pytest.raises(BenchError, match="no longer knows"):
        begun(url)


def test_who_interrupts_is_told_where_the_run_could_not_be_ended() -> None:
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    said: list[str] = []
    with scripted(STARTED, BUSY, GONE) as (url, asked), pytest.raises(KeyboardInterrupt):
        ServerClient(url, None, interrupt).benchmark({}, said.append)

    assert asked[-1].startswith(b"POST /benchmarks/cancel ")
    assert said[-1].startswith("bench_1 may still run: ")


def test_a_server_that_listens_everywhere_is_reached_on_loopback() -> None:
    assert url_of(ServerConfig(host="0.0.0.0", port=81)) == "http://127.0.0.1:81"
    assert url_of(ServerConfig(host="::", port=81)) == "http://[::1]:81"
    assert url_of(ServerConfig(host="example.org", port=81)) == "http://example.org:81"


def test_the_key_is_that_of_the_flag_of_the_environment_or_of_the_configuration(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = ServerConfig(api_keys=("first", "second"))
    monkeypatch.setenv("FIRSTAUDIO_BENCH_TOKEN", "environment")
    assert key_for("flag", server) == "flag"
    assert key_for(None, server) == "environment"
    monkeypatch.delenv("FIRSTAUDIO_BENCH_TOKEN")
    assert key_for(None, server) == "first"
    assert key_for(None, ServerConfig()) is None
    assert client.TOKEN == "FIRSTAUDIO_BENCH_TOKEN"
