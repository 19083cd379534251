"""The cells of each mode that knows them beforehand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from firstaudio.bench.modes.setup import Setup
from firstaudio.bench.workload import Cell, Goals, Texts, Workload
from firstaudio.slo import SCENARIO_TARGETS_MS, TTFA_TARGET_MS

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
    """The five scenarios, three of them with a target of their own, then concurrency levels."""
    yield from scenarios(setup)
    yield from setup.at_levels()


def scenarios(setup: Setup) -> Iterator[Cell]:
    """Short, medium, long, fast, every voice; and one greeting over and over, which a cache may answer."""

    def scenario(name: str, place: str = "", **axes: str | int | float) -> Cell:
        cell = setup.cell(f"{name} {place}".rstrip(), 1, scenario=name, **axes)
        return cell.replace(ttfa_target_ms=_own_target(name, setup.goals))

    def classes(name: str) -> Texts:
        return replace(setup.texts, classes=(name,), custom=(), unique=True)

    yield scenario("short_text_ttfa").replace(texts=classes("short"))
    yield scenario("hello_world_repeated").replace(texts=HELLO)
    yield scenario("medium_text_ttfa").replace(texts=classes("medium"))
    yield scenario("long_text_streaming").replace(texts=classes("long"))
    if setup.speed_tests:
        yield scenario("fast_speech", speed=1.5).replace(speed=1.5, texts=classes("medium"))
    for voice in setup.voices if setup.voice_tests else ():
        yield scenario("voice_variety", voice, voice=voice).replace(voice=voice, texts=classes("medium"))


def _own_target(scenario: str, goals: Goals) -> float | None:
    """A goal that the user states is for every scenario."""
    return SCENARIO_TARGETS_MS.get(scenario) if goals.ttfa_ms == TTFA_TARGET_MS else None


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
