"""The smallest server around a library: `POST /v1/audio/speech`, raw s16le samples, piece by piece as they come.

Runs with the peer's own Python, with numpy and nothing else. The head of an answer leaves with its first samples, so it
can say how long the library itself took for them: `Server-Timing: library;dur=<ms>`, from the call to its first audio.
What this server adds is the difference to what the client measures.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

Emit = Callable[[Any], bool]  # float samples; False: nobody listens any more
Speak = Callable[[str, str, Emit], None]  # text, voice
SAMPLE_RATE = 24_000


class _Answer:
    """One answer, begun with its first samples."""

    def __init__(self, handler: BaseHTTPRequestHandler) -> None:
        self._handler = handler
        self._began_ns = time.perf_counter_ns()
        self.begun = self.gone = False

    def emit(self, samples: Any) -> bool:
        took_ms = (time.perf_counter_ns() - self._began_ns) / 1e6
        pcm = (np.clip(np.asarray(samples), -1, 1) * 32767).astype("<i2").tobytes()
        if pcm and not self.gone:
            head = b"" if self.begun else self._head(took_ms)
            self.begun = True
            self._write(head + b"%x\r\n" % len(pcm) + pcm + b"\r\n")
        return not self.gone

    def end(self) -> None:
        self._write(b"0\r\n\r\n")

    def _head(self, took_ms: float) -> bytes:
        fields = ("Content-Type: audio/pcm", f"X-Sample-Rate: {SAMPLE_RATE}", "Transfer-Encoding: chunked")
        lines = ("HTTP/1.1 200 OK", *fields, f"Server-Timing: library;dur={took_ms:.3f}", "", "")
        return "\r\n".join(lines).encode()

    def _write(self, data: bytes) -> None:
        try:
            self._handler.wfile.write(data)
        except OSError:
            self.gone = self._handler.close_connection = True


def serve(speak: Speak, port: int) -> None:
    """Serve until the process ends, one utterance at a time; prints where as soon as it is ready."""
    one_at_a_time = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with one_at_a_time:
                answer = _Answer(self)
                try:
                    speak(asked["input"], asked["voice"], answer.emit)
                except Exception as error:  # noqa: BLE001 - the client is told, whatever it was
                    self.close_connection = True
                    if not answer.begun:
                        self.send_error(500, f"{type(error).__name__}: {error}")
                    return
                answer.end() if answer.begun else self.send_error(500, "the library made no audio")

        def log_message(self, *_: Any) -> None:
            """Be silent: talk would be measured too."""

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        server.daemon_threads = True
        print(f"ready http://127.0.0.1:{server.server_address[1]}", flush=True)
        server.serve_forever()
