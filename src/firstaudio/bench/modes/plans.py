"""The cells of each mode that knows them beforehand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from firstaudio.bench.modes.setup import Setup
from firstaudio.bench.workload import Cell, Texts, Workload

HELLO = Texts(custom=("Hello world!",), unique=False)
STREAMING_LEVELS = (1, 4)


def server(setup: Setup) -> Iterator[Cell]:
    """One voice over concurrency levels; in an open loop one cell at the stated rate."""
    if setup.arrival == "closed":
        return setup.at_levels()
    rate = f"{setup.rate_per_s:g}/s" if setup.rate_per_s else setup.arrival
    return iter([setup.cell(f"{setup.arrival} {rate}", max(setup.levels), rate_per_s=setup.rate_per_s or 0.0)])


def voices(setup: Setup) -> Iterator[Cell]:
    """Every voice over every level, the same kind of texts."""
    for voice in setup.voices:
        for cell in setup.at_levels(f"{voice} ", voice=voice):
            yield cell.replace(voice=voice)


def comprehensive(setup: Setup) -> Iterator[Cell]:
    """Streamed against whole, voices, text classes, speeds, concurrency."""
    yield from setup.by_delivery()
    if setup.voice_tests and len(setup.voices) > 1:
        yield from setup.by_voice(setup.voices)
    yield from setup.by_text_class()
    yield from setup.by_speed()
    yield from setup.at_levels()


def ttfa(setup: Setup) -> Iterator[Cell]:
    """Time to first audio by text length, voice and speed, one client; the user's own texts in a cell of their own."""
    corpus = replace(setup, texts=replace(setup.texts, custom=(), unique=True))
    if setup.texts.custom:
        yield setup.cell("text=custom", text_class="custom")
    yield from corpus.by_text_class()
    yield from corpus.by_speed()
    if setup.voice_tests and len(setup.voices) > 1:
        yield from corpus.by_voice(setup.voices)


def streaming(setup: Setup) -> Iterator[Cell]:
    """How chunks come: long texts, streamed and whole, and streamed to several listeners at once."""
    long_texts = replace(setup, texts=replace(setup.texts, classes=("long",)))
    yield from long_texts.by_delivery()
    for level in STREAMING_LEVELS[1:]:
        yield long_texts.cell(f"listeners={level}", level)


def full(setup: Setup) -> Iterator[Cell]:
    """The five scenarios, each with a target of its own, then concurrency levels."""
    yield from scenarios(setup)
    yield from setup.at_levels()


def scenarios(setup: Setup) -> Iterator[Cell]:
    """Short, medium, long, fast, every voice; and one greeting over and over, which a cache may answer."""

    def classes(name: str) -> Texts:
        return replace(setup.texts, classes=(name,), custom=(), unique=True)

    yield setup.cell("short_text_ttfa", scenario="short_text_ttfa").replace(texts=classes("short"))
    yield setup.cell("hello_world_repeated", scenario="hello_world_repeated").replace(texts=HELLO)
    yield setup.cell("medium_text_ttfa", scenario="medium_text_ttfa").replace(texts=classes("medium"))
    yield setup.cell("long_text_streaming", scenario="long_text_streaming").replace(texts=classes("long"))
    if setup.speed_tests:
        yield setup.cell("fast_speech", scenario="fast_speech", speed=1.5).replace(speed=1.5, texts=classes("medium"))
    for voice in setup.voices if setup.voice_tests else ():
        cell = setup.cell(f"voice_variety {voice}", scenario="voice_variety", voice=voice)
        yield cell.replace(voice=voice, texts=classes("medium"))


def soak(setup: Setup) -> Iterator[Cell]:
    """One condition for long."""
    return iter([setup.cell("soak", setup.levels[0])])


PLANS: dict[str, Callable[[Setup], Iterator[Cell]]] = {
    "server": server,
    "demo": server,
    "voices": voices,
    "comprehensive": comprehensive,
    "ttfa": ttfa,
    "streaming": streaming,
    "full": full,
    "soak": soak,
}


def workload(mode: str, setup: Setup) -> Workload:
    """All cells of a mode."""
    return Workload(mode, tuple(PLANS[mode](setup)), setup.goals)
