"""A server of our own: a process that is there for the length of a `with` block, and never longer.

Run as a program, this module is that server: it ends when its standard input closes, however its parent ended.
"""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from queue import Empty, SimpleQueue

from firstaudio.cli.bench.leash import hold_leash
from firstaudio.errors import ConfigError, NotReadyError

PROGRAM = (sys.executable, "-P", "-m", __spec__.name)  # -P: the current folder holds no modules of ours
START_S = 600.0  # an engine may measure its runtimes on this machine first
END_S = 60.0
NUM_LAST_LINES = 5
EXIT_CONFIG = 2  # of a server that was told something wrong
_READY = re.compile(r"ready on (http://\S+)")


@contextmanager
def own_server(flags: Sequence[str], start_s: float = START_S) -> Iterator[str]:
    """Start `firstaudio serve` on a free port of loopback; its URL, once its engines are ready.

    Args:
        flags: Further ones, as `firstaudio serve` takes them.
        start_s: How long it may take to start, in seconds.

    Raises:
        ConfigError: It cannot be configured so.
        NotReadyError: It did not start.
    """
    command = [*PROGRAM, "--host", "127.0.0.1", "--port", "0", "--log-format", "text", *flags]
    # A session of its own: Ctrl-C is for us, and we end it.
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        listener = _Listener(process)
        try:
            yield listener.url(start_s)
        finally:
            process.terminate()
            try:
                process.wait(END_S)
            except subprocess.TimeoutExpired:
                process.kill()
            listener.join()


class _Listener:
    """Reads what the server says, so that a full pipe never blocks it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process, self._urls = process, SimpleQueue[str | None]()
        self._last: deque[str] = deque(maxlen=NUM_LAST_LINES)
        self._thread = threading.Thread(target=self._read, name="server's stderr")
        self._thread.start()

    def url(self, wait_s: float) -> str:
        """Where it listens. Raises ConfigError or NotReadyError."""
        try:
            url = self._urls.get(timeout=wait_s)
        except Empty:
            raise NotReadyError(f"the server was not ready within {wait_s:g} s; firstaudio doctor tells more") from None
        if url is None:
            said = " / ".join(line.strip().removeprefix("firstaudio: ") for line in self._last) or "it said nothing"
            if self._process.wait() == EXIT_CONFIG:
                raise ConfigError(said)
            raise NotReadyError(f"the server did not start: {said}; firstaudio doctor tells more")
        return url

    def join(self) -> None:
        """Wait until there is nothing more to read."""
        self._thread.join()

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._last.append(line)
            if found := _READY.search(line):
                self._urls.put(found.group(1))
        self._urls.put(None)


def _serve() -> None:
    from firstaudio.cli.main import main

    hold_leash()
    main(["serve", *sys.argv[1:]])


if __name__ == "__main__":
    _serve()
