"""The command line, run in this process."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from firstaudio.cli.main import main


@dataclass(frozen=True)
class Result:
    exit_code: int
    stdout: bytes
    stderr: str


Run = Callable[..., Result]


@pytest.fixture
def run(capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `firstaudio ARGUMENTS...`; nothing of this machine's environment takes part."""
    for name in ("FIRSTAUDIO_CONFIG", "FIRSTAUDIO_DEBUG"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: str, stdin: bytes = b"") -> Result:
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        captured = capsysbinary.readouterr()
        return Result(int(ended.value.code or 0), captured.out, captured.err.decode())

    return run


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The synthetic engine, as fast as it can."""
    monkeypatch.setenv("FIRSTAUDIO_ENGINE_NAMES", "synthetic")
    monkeypatch.setenv("FIRSTAUDIO_SYNTHETIC_TTFA_MS", "0")
    monkeypatch.setenv("FIRSTAUDIO_SYNTHETIC_RTF", "0")


class FakeSounddevice(SimpleNamespace):
    """Stands in for the module `sounddevice`; remembers what was played and how it ended."""

    class PortAudioError(Exception):
        pass

    def __init__(self, *, device: bool = True) -> None:
        super().__init__(played=[], events=[], sample_rate=0)
        self._device = device

    def OutputStream(self, samplerate: int, channels: int, dtype: str) -> FakeSounddevice:  # noqa: N802 -- sounddevice's name
        if not self._device:
            raise self.PortAudioError("no default output device")
        assert (channels, dtype) == (1, "int16")
        self.sample_rate = samplerate
        return self

    def query_devices(self, kind: str) -> dict[str, str]:
        if not self._device:
            raise self.PortAudioError("no default output device")
        return {"name": f"fake {kind}"}

    def start(self) -> None:
        self.events.append("start")

    def write(self, pcm) -> None:
        assert pcm.shape[1:] == (1,)
        self.played.append(pcm[:, 0])

    def stop(self) -> None:
        self.events.append("stop")

    def abort(self) -> None:
        self.events.append("abort")

    def close(self) -> None:
        self.events.append("close")


@pytest.fixture
def sound(monkeypatch: pytest.MonkeyPatch) -> FakeSounddevice:
    device = FakeSounddevice()
    monkeypatch.setitem(sys.modules, "sounddevice", device)
    return device


@pytest.fixture
def no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", FakeSounddevice(device=False))


@pytest.fixture
def no_sounddevice(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package is not installed."""
    monkeypatch.setitem(sys.modules, "sounddevice", None)
