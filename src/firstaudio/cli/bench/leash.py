"""A run that a program started ends with that program, however it ended: its end of our stdin closes."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

GRACE_S = 10.0


def hold_leash() -> None:
    """From now on, end when stdin closes: in good order first, and after `GRACE_S` at once, with all children."""
    threading.Thread(target=_wait, name="leash", daemon=True).start()


def _wait() -> None:
    while os.read(sys.stdin.fileno() if sys.stdin else 0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_S)
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(os.EX_UNAVAILABLE)
