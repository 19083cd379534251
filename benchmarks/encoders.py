"""What each response format costs and how early its first audio leaves: the figures behind `audio.encode`.

    python benchmarks/encoders.py

First bytes are counted in milliseconds of *source* that must be pushed before the first audio byte leaves, so they do
not depend on the machine; CPU times do. Prints one table for the encoders and one for the resamplers.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import numpy as np
import soxr

from firstaudio.audio.chunk import Pcm, to_float32
from firstaudio.audio.encode import FORMATS, make_encoder, preload
from firstaudio.audio.filters import FilterChain
from firstaudio.audio.resample import Resampler

HEADER_BYTES = {"wav": 44, "flac": 100, "opus": 150, "mp3": 250}
NUM_ROUNDS = 20


def voiced(sample_rate: int, duration_s: float = 2.0) -> Pcm:
    """A buzz with noise and gaps."""
    time_s = np.arange(round(duration_s * sample_rate)) / sample_rate
    buzz = 8000 * np.sin(2 * np.pi * 150 * time_s * (1 + 0.1 * np.sin(3 * time_s)))
    noise = np.random.default_rng(0).standard_normal(len(time_s)) * 500
    return (buzz * (np.sin(9 * time_s) > -0.6) + noise).astype(np.int16)


def timed_ms(action: Callable[[], object]) -> float:
    """Duration of one call."""
    begin = time.perf_counter()
    action()
    return (time.perf_counter() - begin) * 1e3


def first_audio_ms(name: str, sample_rate: int) -> int:
    """Source that must be pushed before audio leaves, in steps of 1 ms."""
    encoder, step, num_bytes = make_encoder(name, sample_rate), sample_rate // 1000, 0
    for index, piece in enumerate(np.split(voiced(sample_rate), range(step, step * 500, step)), 1):
        num_bytes += len(encoder.push(piece))
        if num_bytes > HEADER_BYTES.get(name, 0):
            return index
    raise AssertionError(f"{name} held everything back")


def encoders(sample_rate: int) -> None:
    """One row a format."""
    pcm = voiced(sample_rate)
    pieces = np.split(pcm, range(sample_rate // 5, len(pcm), sample_rate // 5))
    print(
        f"\n{sample_rate} Hz | first audio after | delay heard | create | 200 ms: median and max | CPU per s | kbit/s"
    )
    for name, audio_format in FORMATS.items():
        created, pushes, cpu, num_bytes = [], [], 0.0, 0
        for _ in range(NUM_ROUNDS):
            created.append(timed_ms(lambda name=name: make_encoder(name, sample_rate)))
            encoder = make_encoder(name, sample_rate)
            begin = time.process_time()
            pushes += [timed_ms(lambda encoder=encoder, piece=piece: encoder.push(piece)) for piece in pieces]
            encoder.finish()
            cpu += time.process_time() - begin
            num_bytes = sum(map(len, map(make_encoder(name, sample_rate).push, pieces)))
        seconds = len(pcm) / sample_rate
        print(
            f"{name:5} | {first_audio_ms(name, sample_rate)} ms"
            f" | {1e3 * audio_format.delay_samples / encoder.output_rate:.0f} ms"
            f" | {median(created):.1f} ms | {median(pushes):.2f} and {max(pushes):.2f} ms"
            f" | {1e3 * cpu / NUM_ROUNDS / seconds:.1f} ms | {num_bytes * 8e-3 / seconds:.0f}"
        )


def resamplers(in_rate: int, out_rate: int) -> None:
    """One row a resampler: ours, soxr's qualities, and FFmpeg's with 64 taps."""
    pcm = to_float32(voiced(in_rate))
    step = in_rate // 200
    pieces = np.split(pcm, range(step, len(pcm), step))
    makers: dict[str, Callable[[], Callable[[Pcm], Pcm]]] = {
        "ours": lambda: Resampler(in_rate, out_rate).push,
        "swresample": lambda: FilterChain(in_rate, [("aresample", f"{out_rate}:filter_size=64")]).push,
        **{
            f"soxr {quality}": lambda quality=quality: (
                soxr.ResampleStream(in_rate, out_rate, 1, dtype="float32", quality=quality).resample_chunk
            )
            for quality in ("HQ", "MQ", "LQ")
        },
    }
    print(f"\n{in_rate} to {out_rate} Hz | create | first output after | held back | CPU per s")
    for name, make in makers.items():
        created = median(timed_ms(make) for _ in range(NUM_ROUNDS))
        push = make()
        begin = time.process_time()
        lengths = [len(push(piece)) for piece in pieces]
        cpu = time.process_time() - begin
        first = next(index for index, length in enumerate(lengths, 1) if length) * 5
        held = len(pcm) / in_rate - sum(lengths) / out_rate
        print(
            f"{name:10} | {created:.1f} ms | {first} ms | {held * 1e3:.1f} ms | {1e3 * cpu * in_rate / len(pcm):.1f} ms"
        )


if __name__ == "__main__":
    preload()
    for rate in (22_050, 24_000):
        encoders(rate)
    for rates in ((22_050, 24_000), (24_000, 48_000)):
        resamplers(*rates)
