"""The synthesizer on its own thread, interrupted from outside."""

import signal
import threading

import pytest

from firstaudio.cli import embedded as module
from firstaudio.cli.embedded import embedded
from firstaudio.config import Config, EngineConfig


def test_an_interrupt_while_the_loop_starts_ends_the_block_and_leaves_no_thread(monkeypatch):
    threads = threading.active_count()
    start_portal = module.start_blocking_portal

    def interrupted_start():
        signal.raise_signal(signal.SIGINT)
        return start_portal()

    monkeypatch.setattr(module, "start_blocking_portal", interrupted_start)
    with pytest.raises(KeyboardInterrupt), embedded(Config(engine=EngineConfig(names=("synthetic",)))):
        pytest.fail("the block must not begin")
    assert threading.active_count() == threads
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
