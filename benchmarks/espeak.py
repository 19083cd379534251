"""What espeak-ng does with rate, pitch, marks and buffers: the figures behind `engines.espeak` and `text.plan`.

    python benchmarks/espeak.py

Runs the library in this very process (the product never does).
"""

from __future__ import annotations

import time
from itertools import groupby
from statistics import median

import numpy as np
from numpy.typing import NDArray

from firstaudio.engines.espeak.engine import find_library
from firstaudio.engines.espeak.library import Espeak

FOX = "The quick brown fox jumps over the lazy dog, and then it runs away."
VOICED = "Mary had a little lamb whose fleece was white as snow"
LETTERS, NUMBERS, FEW = (16, 20, 24, 30, 40, 60, 100, 200), (5, 20, 40, 60, 80), (3, 4, 8)
QUIET = 60  # of 32768
MIN_PAUSE_S = 0.05


def speak(espeak: Espeak, text: str, rate: int = 175, pitch: int = 50) -> tuple[NDArray[np.int16], float, list[int]]:
    """Samples, milliseconds until the first of them, sizes of the callbacks."""
    pieces: list[bytes] = []
    first_ms: list[float] = []
    begin = time.perf_counter()

    def on_audio(pcm: bytes, _: object) -> bool:
        first_ms.append((time.perf_counter() - begin) * 1e3)
        pieces.append(pcm)
        return False

    espeak.speak(text, "gmw/en-US", rate, pitch, on_audio)
    return np.frombuffer(b"".join(pieces), np.int16), first_ms[0], [len(piece) // 2 for piece in pieces]


def fundamental_hz(pcm: NDArray[np.int16], rate: int, window: int = 1200) -> float:
    """Median over voiced windows of the autocorrelation's peak between 55 and 400 Hz."""
    found = []
    for begin in range(0, len(pcm) - window, window // 2):
        piece = pcm[begin : begin + window].astype(float)
        correlation = np.correlate(piece - piece.mean(), piece - piece.mean(), "full")[window - 1 :]
        peak = rate // 400 + int(correlation[rate // 400 : rate // 55].argmax())
        if correlation[0] > 1e8 and correlation[peak] > 0.5 * correlation[0]:
            found.append(rate / peak)
    return median(found)


def pauses_ms(pcm: NDArray[np.int16], rate: int) -> list[int]:
    """Silences inside, in ms."""
    runs = [(quiet, len(list(run))) for quiet, run in groupby(np.abs(pcm.astype(int)) < QUIET)]
    return [round(n / rate * 1e3) for quiet, n in runs[1:-1] if quiet and n > MIN_PAUSE_S * rate]


def main() -> None:
    library, data = find_library()
    espeak = Espeak(library, data)
    hz = espeak.sample_rate
    print(f"espeak-ng {espeak.version_and_data()[0]}, {hz} Hz")
    natural = len(speak(espeak, FOX)[0])
    print("\nrate, words a minute | speed against 175")
    for rate in (20, 44, 80, 88, 120, 175, 350, 449, 460, 700):
        print(f"{rate:4} | {natural / len(speak(espeak, FOX, rate)[0]):.4f}")
    print("\npitch | F0 against 50")
    middle = fundamental_hz(speak(espeak, VOICED)[0], hz)
    for pitch in (0, 25, 50, 75, 100):
        print(f"{pitch:4} | {fundamental_hz(speak(espeak, VOICED, pitch=pitch)[0], hz) / middle:.2f}")
    print("\nmark | pause, ms")
    for mark in (",", ";", ":", ".", "!", "?", " -", "\n\n"):
        print(f"{mark!r:6} | {pauses_ms(speak(espeak, f'One two three{mark} Four five six.')[0], hz)}")
    print("\nmade of | seconds a piece, by number of pieces (less: lost)")
    for piece, counts in (
        ("w", LETTERS),
        ("x", LETTERS),
        ("7", LETTERS),
        ("ha", LETTERS),
        ("3497 ", NUMBERS),
        ("I ", FEW),
    ):
        lengths = [(count, len(speak(espeak, piece * count)[0]) / hz / count) for count in counts]
        print(f"{piece!r:7} | " + ", ".join(f"{count}: {each:.2f}" for count, each in lengths))
    print("\ncharacters | first callback, ms | samples of the first callbacks | RTF")
    for times in (1, 8, 64):
        timed = []
        for _ in range(20):
            begin = time.perf_counter()
            pcm, first_ms, sizes = speak(espeak, FOX * times)
            timed.append(((time.perf_counter() - begin) / (len(pcm) / hz), first_ms))
        rtf, first = (median(column) for column in zip(*timed, strict=True))
        print(f"{len(FOX) * times:5} | {first:.2f} | {sizes[:3]} | {rtf:.5f}")


if __name__ == "__main__":
    main()
