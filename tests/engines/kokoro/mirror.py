"""A small release, and an HTTP server that misbehaves on demand."""

from __future__ import annotations

import hashlib
import random
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from firstaudio.engines.kokoro.release import Release, ReleaseFile

CONTENT = {
    "model.onnx": random.Random(1).randbytes(5000),
    "model.int8.onnx": random.Random(2).randbytes(2000),
    "voices.bin": random.Random(3).randbytes(1000),
}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def release_of(url: str) -> Release:
    variants = {"model.onnx": "f32", "model.int8.onnx": "int8", "voices.bin": ""}
    files = tuple(
        ReleaseFile(file, "model" if variant else "voices", variant, len(CONTENT[file]), sha256(CONTENT[file]))
        for file, variant in variants.items()
    )
    return Release("kokoro", url, "Apache-2.0", files)


@dataclass(frozen=True)
class Answer:
    """How the server answers one request; by default as it should.

    Attributes:
        status: Another status, with an empty body.
        ignores_range: Sends the whole file whatever was asked for.
        cut: Closes the connection after so many bytes of the body.
        stalls: Says nothing more at the cut, and keeps the connection open until it is released.
        content: Another body.
        length: What Content-Length says; None: the truth; "": no such header.
        etag: The file's ETag.
        content_type: Its type.
        location: A redirection to that path.
        raw: These bytes in the place of an HTTP answer.
        content_range: What Content-Range says.
    """

    status: int | None = None
    ignores_range: bool = False
    cut: int | None = None
    stalls: bool = False
    content: bytes | None = None
    length: str | None = None
    etag: str = '"1"'
    content_type: str = "application/octet-stream"
    location: str = ""
    raw: bytes = b""
    content_range: str = ""


@dataclass
class Server:
    """Answers by the script, request after request; after its end as it should."""

    url: str = ""
    script: list[Answer] = field(default_factory=list)
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)
    stalled: threading.Event = field(default_factory=threading.Event)

    def release(self) -> None:
        """Let the stalled connections end."""
        self.stopping.set()

    def ranges(self) -> list[str]:
        return [headers.get("Range", "") for _path, headers in self.requests]


class _Handler(BaseHTTPRequestHandler):
    state: Server

    def log_message(self, *_arguments) -> None:
        pass

    def do_GET(self) -> None:
        state = self.state
        state.requests.append((self.path, dict(self.headers)))
        answer = state.script.pop(0) if state.script else Answer()
        if answer.raw:
            self.wfile.write(answer.raw)
        elif answer.location:
            self._head(302, {"Location": answer.location, "Content-Length": "0"})
        elif answer.status:
            self._head(answer.status, {"Content-Length": "0"})
        else:
            self._send(answer)

    def _send(self, answer: Answer) -> None:
        content = CONTENT[self.path.rpartition("/")[2]] if answer.content is None else answer.content
        start = self._start(answer)
        if start >= len(content) and start:
            self._head(416, {"Content-Length": "0"})
            return
        headers = {"ETag": answer.etag, "Content-Type": answer.content_type}
        if start or answer.content_range:
            headers["Content-Range"] = answer.content_range or f"bytes {start}-{len(content) - 1}/{len(content)}"
        if answer.length != "":
            headers["Content-Length"] = answer.length or str(len(content) - start)
        self._head(206 if start or answer.content_range else 200, headers)
        self.wfile.write(content[start:] if answer.cut is None else content[start : start + answer.cut])
        self.wfile.flush()
        if answer.stalls:
            self.state.stalled.set()
            self.state.stopping.wait()

    def _start(self, answer: Answer) -> int:
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        is_same = self.headers.get("If-Range", answer.etag) == answer.etag
        return int(match[1]) if match and is_same and not answer.ignores_range else 0

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()


@contextmanager
def serving() -> Iterator[Server]:
    """A mirror of the small release on this machine."""
    state = Server()
    handler = type("Handler", (_Handler,), {"state": state})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        state.url = f"http://127.0.0.1:{http.server_port}"
        yield state
        state.stopping.set()
        http.shutdown()
        thread.join()


class Heard:
    """A listener that remembers."""

    def __init__(self, act: Callable[[int], None] = lambda num_bytes: None) -> None:
        self.notices: list[str] = []
        self.steps: list[tuple[str, int, int]] = []
        self._act = act

    def advanced(self, file: str, num_bytes: int, num_total: int) -> None:
        self.steps.append((file, num_bytes, num_total))
        self._act(num_bytes)

    def notice(self, text: str) -> None:
        self.notices.append(text)
