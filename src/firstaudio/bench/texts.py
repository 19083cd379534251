"""Texts to be spoken: natural sentences, put together by a seed so that none is asked for twice.

A text that was spoken before may come out of a cache, and a cache must not be mistaken for speed. Therefore sentences
with slots (names, towns, times ...) are drawn, filled and joined until the text has a length of its class, and a text
that has been used is drawn again. Warm-up and measurement, and the load processes of one cell, draw from disjoint sets
of texts: a hash of the text says to which set it belongs. Two sources with different salts draw independently; that
they meet in a text is possible but rare: less than one text in ten thousand, of ten thousand each.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.resources
import itertools
import math
import random
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from firstaudio.bench.utterance import Utterance
from firstaudio.bench.workload import TEXT_CLASSES, Cell, Texts
from firstaudio.errors import BenchError

POOL = 8  # texts of each class, where they may repeat
WARMUP_OF = 8  # one text in so many belongs to the warm-up
MAX_MISSES = 4000  # draws in a row that bring nothing new: then the texts count as used up
_SLOT = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class _Shape:
    """How a text of a class is made: one sentence of kind `first`, then sentences of `rest` until `aim` is reached.

    Lengths are in characters and inclusive; `aim` is drawn anew for each text.
    """

    first: str
    rest: str
    aim: tuple[int, int]
    length: tuple[int, int]


# "short" has two shapes in turn, so that half of its texts have fewer than 50 characters. A tiny sentence comes first
# because it alone has tens of millions of variants: that is what keeps sources with different salts apart.
_SHAPES: dict[str, tuple[_Shape, ...]] = {
    "short": (_Shape("tiny", "tiny", (1, 1), (1, 49)), _Shape("tiny", "tiny", (60, 80), (50, 99))),
    "medium": (_Shape("tiny", "plain", (100, 230), (100, 300)),),
    "long": (_Shape("tiny", "plain", (301, 1100), (301, 1200)),),
    "complex": (_Shape("complex", "complex", (140, 280), (140, 400)),),
}


@dataclass(frozen=True, slots=True)
class Sentence:
    """A building sentence: literal parts, and the slots between them (one fewer)."""

    parts: tuple[str, ...]
    slots: tuple[str, ...]

    @classmethod
    def parse(cls, template: str) -> Sentence:
        """From text with slots in braces."""
        pieces = _SLOT.split(template)
        return cls(tuple(pieces[::2]), tuple(pieces[1::2]))

    def fill(self, values: Mapping[str, tuple[str, ...]], rng: random.Random) -> str:
        """The sentence with a value in each slot; slots of one name get different values."""
        drawn = {name: rng.sample(values[name], count) for name, count in Counter(self.slots).items()}
        filled = (drawn[name].pop() for name in self.slots)
        return "".join(itertools.chain.from_iterable(itertools.zip_longest(self.parts, filled, fillvalue="")))

    def variants(self, values: Mapping[str, tuple[str, ...]]) -> int:
        """In how many ways it can be filled."""
        return math.prod(math.perm(len(values[name]), count) for name, count in Counter(self.slots).items())


@dataclass(frozen=True, slots=True)
class Corpus:
    """The sentences of one language."""

    sentences: Mapping[str, tuple[Sentence, ...]]
    values: Mapping[str, tuple[str, ...]]

    def combinations(self, text_class: str) -> int:
        """How many texts of a class there are at least: variants of the sentence with which each of them begins."""
        first = {shape.first for shape in _SHAPES[text_class]}
        return sum(sentence.variants(self.values) for kind in first for sentence in self.sentences[kind])


def languages() -> tuple[str, ...]:
    """Languages that have a corpus."""
    files = importlib.resources.files("firstaudio.bench.corpus").iterdir()
    return tuple(sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml")))


@functools.cache
def load_corpus(language: str) -> Corpus:
    """The corpus of a language, "de" for "de-AT". Raises BenchError when there is none."""
    name = language.lower().partition("-")[0]
    if name not in languages():
        known = ", ".join(languages())
        raise BenchError(f"there are no texts in {language!r}: use one of {known}, or give texts of your own")
    file = importlib.resources.files("firstaudio.bench.corpus") / f"{name}.toml"
    data = tomllib.loads(file.read_text(encoding="utf-8"))
    values = {slot: tuple(words) for slot, words in data.pop("slots").items()}
    return Corpus({kind: tuple(map(Sentence.parse, texts)) for kind, texts in data.items()}, values)


class _Endless(Iterator[Utterance]):
    """A generator that fails in the same way as often as it is asked: several clients draw from it."""

    def __init__(self, utterances: Iterator[Utterance]) -> None:
        self._utterances = utterances
        self._error: BenchError | None = None

    def __next__(self) -> Utterance:
        if self._error is not None:
            raise self._error
        try:
            return next(self._utterances)
        except BenchError as error:
            self._error = error
            raise


class TextSource:
    """An endless iterator of utterances to be measured; `warmup` is another one, with other texts.

    The same plan and salt give the same texts in the same order, however many warm-up texts were drawn between them.

    Args:
        plan: Which texts.
        voice: For every utterance.
        speed: For every utterance.
        language: Sent to the target; the corpus is chosen by `plan.language`.
        salt: Tells apart sources of one session that must not share texts; targets that are compared share it.
        share: (index, count): which of `count` disjoint parts of all texts to draw from.

    Raises:
        BenchError: No such class or language; from the iterators: no unused text is left.
    """

    def __init__(
        self,
        plan: Texts,
        *,
        voice: str | None = None,
        speed: float = 1.0,
        language: str | None = None,
        salt: str = "",
        share: tuple[int, int] = (0, 1),
    ) -> None:
        unknown = [name for name in plan.classes if name not in TEXT_CLASSES]
        if unknown or not (plan.classes or plan.custom):
            raise BenchError(f"no such text class {unknown}: choose from {', '.join(TEXT_CLASSES)}")
        self.plan = plan
        self._speak = functools.partial(Utterance, voice=voice, speed=speed, language=language)
        self._salt, self._share = salt, share
        if plan.custom:
            self._measured = self.warmup = self._utterances(self._custom())
        else:
            self._corpus = load_corpus(plan.language)
            self._measured = self._utterances(self._stream("measured"))
            self.warmup = self._utterances(self._stream("warmup"))

    @classmethod
    def of(cls, cell: Cell, salt: str = "", share: tuple[int, int] = (0, 1)) -> TextSource:
        """For a cell."""
        return cls(cell.texts, voice=cell.voice, speed=cell.speed, language=cell.language, salt=salt, share=share)

    def __iter__(self) -> Iterator[Utterance]:
        return self

    def __next__(self) -> Utterance:
        return next(self._measured)

    def _utterances(self, texts: Iterator[tuple[str, str]]) -> Iterator[Utterance]:
        return _Endless(self._speak(text, text_class) for text, text_class in texts)

    def _custom(self) -> Iterator[tuple[str, str]]:
        index, count = self._share
        for number in itertools.count(index, count):
            yield self.plan.custom[number % len(self.plan.custom)], "custom"

    def _stream(self, phase: str) -> Iterator[tuple[str, str]]:
        """Texts of all classes in turn, each with its class."""
        streams = [self._new_texts(text_class, phase) for text_class in self.plan.classes]
        if not self.plan.unique:
            streams = [itertools.cycle([*itertools.islice(stream, POOL)]) for stream in streams]
        for number in itertools.count():
            turn = number % len(streams)
            yield next(streams[turn]), self.plan.classes[turn]

    def _new_texts(self, text_class: str, phase: str) -> Iterator[str]:
        rng = random.Random(f"{self.plan.seed}/{self._salt}/{self._share}/{self.plan.language}/{text_class}/{phase}")
        belongs = self._membership(phase)
        used: set[int] = set()
        for shape in itertools.cycle(_SHAPES[text_class]):
            yield self._new_text(shape, rng, belongs, used)

    def _new_text(self, shape: _Shape, rng: random.Random, belongs: Callable[[int], bool], used: set[int]) -> str:
        for _ in range(MAX_MISSES):
            text = _draw(self._corpus, shape, rng)
            digest = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")
            if shape.length[0] <= len(text) <= shape.length[1] and digest not in used and belongs(digest):
                used.add(digest)
                return text
        raise BenchError(
            f"after {len(used)} texts there is no unused one of {shape.length[0]} to {shape.length[1]} characters in "
            f"{self.plan.language!r}: send fewer requests, use more text classes, or allow texts to repeat"
        )

    def _membership(self, phase: str) -> Callable[[int], bool]:
        """Whether a text, by its hash, belongs to the set of this phase and share."""
        index, count = self._share
        is_warmup = phase == "warmup"
        return lambda digest: (digest % WARMUP_OF == 0) == is_warmup and digest // WARMUP_OF % count == index


def _draw(corpus: Corpus, shape: _Shape, rng: random.Random) -> str:
    """Different sentences, filled and joined, until the aim is reached or none is left."""
    aim = rng.randint(*shape.aim)
    first = rng.choice(corpus.sentences[shape.first])
    others = [sentence for sentence in corpus.sentences[shape.rest] if sentence is not first]
    text = first.fill(corpus.values, rng)
    while len(text) < aim and others:
        text = f"{text} {others.pop(rng.randrange(len(others))).fill(corpus.values, rng)}"
    return text
