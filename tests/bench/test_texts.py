"""Texts: unique, of their class, the same for the same seed, and apart where they must be."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstaudio.bench.texts import MAX_MISSES, POOL, Corpus, Sentence, TextSource, languages, load_corpus
from firstaudio.bench.utterance import Utterance
from firstaudio.bench.workload import TEXT_CLASSES, Cell, TargetSpec, Texts
from firstaudio.errors import BenchError

LENGTHS = {"short": (1, 99), "medium": (100, 300), "long": (301, 1200), "complex": (140, 400)}


def texts(source: TextSource, count: int) -> list[str]:
    return [utterance.text for utterance in islice(source, count)]


def test_every_language_that_the_workload_names_has_a_corpus() -> None:
    assert languages() == ("de", "en", "es", "fr")


@pytest.mark.parametrize("language", languages())
@pytest.mark.parametrize("text_class", TEXT_CLASSES)
def test_texts_have_the_length_of_their_class_and_none_comes_twice(language: str, text_class: str) -> None:
    drawn = texts(TextSource(Texts((text_class,), language)), 300)
    low, high = LENGTHS[text_class]
    assert [text for text in drawn if not low <= len(text) <= high] == []
    assert len(set(drawn)) == 300


@pytest.mark.parametrize("language", languages())
@pytest.mark.parametrize("text_class", TEXT_CLASSES)
def test_there_are_a_hundred_thousand_texts_at_least(language: str, text_class: str) -> None:
    assert load_corpus(language).combinations(text_class) > 100_000


@pytest.mark.parametrize("language", languages())
def test_every_slot_is_filled_and_every_sentence_ends(language: str) -> None:
    corpus = load_corpus(language)
    sentences = [sentence for kind in corpus.sentences.values() for sentence in kind]
    assert {slot for sentence in sentences for slot in sentence.slots} == set(corpus.values)
    assert [sentence for sentence in sentences if sentence.parts[-1][-1] not in ".!?"] == []
    assert [sentence for sentence in sentences if "{" in "".join(sentence.parts)] == []


def test_half_of_the_short_texts_have_fewer_than_fifty_characters() -> None:
    lengths = [len(text) for text in texts(TextSource(Texts(("short",))), 100)]
    assert [length < 50 for length in lengths] == [True, False] * 50


def test_long_texts_spread_over_their_range() -> None:
    lengths = [len(text) for text in texts(TextSource(Texts(("long",))), 200)]
    assert min(lengths) < 450
    assert max(lengths) > 1000


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.text(max_size=8))
def test_the_same_seed_and_salt_give_the_same_texts(seed: int, salt: str) -> None:
    plan = Texts(("short", "complex"), seed=seed)
    assert texts(TextSource(plan, salt=salt), 6) == texts(TextSource(plan, salt=salt), 6)


@pytest.mark.parametrize("other", [TextSource(Texts(seed=2)), TextSource(Texts(), salt="c=4")])
def test_another_seed_or_salt_gives_other_texts(other: TextSource) -> None:
    assert set(texts(TextSource(Texts()), 200)) & set(texts(other, 200)) == set()


def test_warmup_never_draws_a_measured_text_and_does_not_change_them() -> None:
    plan = Texts(TEXT_CLASSES)
    source = TextSource(plan)
    warm = [utterance.text for utterance in islice(source.warmup, 200)]
    measured = texts(source, 400)
    assert texts(TextSource(plan), 400) == measured
    assert set(warm) & set(measured) == set()


def tiny_corpus() -> Corpus:
    """Twelve texts in all: two sentences with three words for two slots that must differ."""
    tiny = (Sentence.parse("{word} and {word}."), Sentence.parse("{word} or {word}."))
    return Corpus({"tiny": tiny, "plain": tiny, "complex": tiny}, {"word": ("one", "two", "three")})


def test_the_shares_of_load_processes_and_their_warmups_are_disjoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firstaudio.bench.texts.load_corpus", lambda language: tiny_corpus())
    monkeypatch.setattr("firstaudio.bench.texts.WARMUP_OF", 3)
    shares = [exhausted(TextSource(Texts(("short",)), share=(index, 2))) for index in range(2)]
    warm = [exhausted(TextSource(Texts(("short",)), share=(index, 2)).warmup) for index in range(2)]
    found = sorted(text for part in shares + warm for text in part)
    assert len(found) == len(set(found))
    assert set(found) <= {f"{a} {op} {b}." for a in WORDS for b in WORDS for op in ("and", "or") if a != b}


WORDS = ("one", "two", "three")


def exhausted(source: Iterable[Utterance]) -> list[str]:
    """The short texts that a source yields before it is used up."""
    found: list[str] = []
    with suppress(BenchError):
        found.extend(utterance.text for utterance in source)
    return found


def test_a_corpus_that_is_used_up_says_so_instead_of_repeating(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firstaudio.bench.texts.load_corpus", lambda language: tiny_corpus())
    source = TextSource(Texts(("short",)))
    with pytest.raises(BenchError, match=r"there is no unused one .* allow texts to repeat"):
        texts(source, 13)
    with pytest.raises(BenchError, match="there is no unused one"):
        next(source)
    assert tiny_corpus().combinations("short") == 12
    assert MAX_MISSES > 100 * 12


def test_texts_that_may_repeat_come_from_a_small_pool() -> None:
    drawn = texts(TextSource(Texts(("short", "medium"), unique=False)), 8 * POOL)
    assert len(set(drawn)) == 2 * POOL
    assert drawn[: 2 * POOL] == drawn[2 * POOL : 4 * POOL]


def test_classes_come_in_turn_and_each_utterance_says_its_own() -> None:
    drawn = [utterance.text_class for utterance in islice(TextSource(Texts(("short", "long"))), 4)]
    assert drawn == ["short", "long", "short", "long"]


def test_custom_texts_cycle() -> None:
    source = TextSource(Texts(custom=("a", "b", "c")), voice="x", speed=1.5, language="en-GB")
    assert next(source) == Utterance("a", "custom", "x", 1.5, "en-GB")
    assert texts(source, 4) == ["b", "c", "a", "b"]


def test_a_cell_hands_its_voice_speed_and_language_to_every_utterance() -> None:
    cell = Cell("c", TargetSpec("openai"), voice="nova", speed=0.5, language="en")
    utterance = next(TextSource.of(cell))
    assert (utterance.voice, utterance.speed, utterance.language) == ("nova", 0.5, "en")


def test_a_region_is_no_other_language() -> None:
    assert load_corpus("de-AT") == load_corpus("de")


def test_an_unknown_language_names_those_that_exist() -> None:
    with pytest.raises(BenchError, match="no texts in 'tlh': use one of de, en, es, fr"):
        TextSource(Texts(language="tlh"))


def test_an_unknown_class_names_those_that_exist() -> None:
    with pytest.raises(BenchError, match="choose from short, medium, long, complex"):
        TextSource(Texts(("tall",)))
