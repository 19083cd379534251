"""The synthesizer on its own thread, interrupted from outside."""

import signal
import threading

import pytest

from firstaudio.cli import embedded as module
from firstaudio.cli.embedded import embedded
from firstaudio.config import Config, EngineConfig, SyntheticConfig
from firstaudio.engines.synthetic import SyntheticEngine
from firstaudio.synthesis.narration import Patience
from firstaudio.synthesis.utterance import Utterance


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


def test_an_embedded_synthesizer_waits_for_the_preferred_engine_though_another_could_speak():
    config = Config(engine=EngineConfig(failover=True), synthetic=SyntheticConfig(ttfa_ms=0.0, rtf=0.0))
    other_is_ready = threading.Event()

    class Preferred(SyntheticEngine):
        def start(self):
            assert other_is_ready.wait(10)

    class Other(SyntheticEngine):
        def start(self):
            other_is_ready.set()

    with (
        embedded(config, {"preferred": Preferred(config), "other": Other(config)}) as synthesizer,
        synthesizer.speak(Utterance("Hello.")) as speech,
    ):
        assert next(speech)
        assert speech.stream.engine == "preferred"


def test_what_a_slow_engine_does_while_it_starts_is_told():
    config = Config(synthetic=SyntheticConfig(ttfa_ms=0.0, rtf=0.0))
    is_told = threading.Event()
    said: list[str] = []

    class Slow(SyntheticEngine):
        def start(self):
            assert is_told.wait(10)

    def talk(message: str) -> None:
        said.append(message)
        is_told.set()

    with embedded(config, {"slow": Slow(config)}, talk=talk, patience=Patience(quiet_s=0.0)):
        assert said[0].endswith(" s: starting the slow engine")


def test_nothing_is_said_of_a_quick_start():
    config = Config(synthetic=SyntheticConfig(ttfa_ms=0.0, rtf=0.0))
    said: list[str] = []

    with embedded(config, {"quick": SyntheticEngine(config)}, talk=said.append, patience=Patience(quiet_s=1000.0)):
        assert said == []
