import sys
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstaudio.bench.reading.intelligibility import RECOGNISER_RATE, edit_distance, transcriber, word_error_rate, words
from firstaudio.errors import BenchError, MissingExtraError

SEQUENCES = st.lists(st.sampled_from("abc"), max_size=7)


@pytest.mark.parametrize(
    ("reference", "hypothesis", "expected"),
    [
        ("The quick brown fox", "the quick, brown fox!", 0.0),
        ("the quick brown fox", "the brown box", 0.5),
        ("don\N{RIGHT SINGLE QUOTATION MARK}t", "don't", 0.0),
        ("Straße Café", "STRASSE CAFE\N{COMBINING ACUTE ACCENT}", 0.0),
        ("one", "one and two more", 3.0),
        ("one", "", 1.0),
        ("...", "one", None),
    ],
)
def test_words_are_compared_as_they_sound(reference: str, hypothesis: str, expected: float | None) -> None:
    assert word_error_rate(reference, hypothesis) == expected


def test_quotes_are_no_part_of_a_word() -> None:
    assert words("'Hello', she said; it's 5") == ["hello", "she", "said", "it's", "5"]


def recursive_distance(a: list[str], b: list[str]) -> int:
    if not a or not b:
        return len(a) + len(b)
    if a[0] == b[0]:
        return recursive_distance(a[1:], b[1:])
    return 1 + min(recursive_distance(a[1:], b), recursive_distance(a, b[1:]), recursive_distance(a[1:], b[1:]))


@settings(deadline=None)
@given(SEQUENCES, SEQUENCES)
def test_the_distance_is_that_of_its_recursive_definition(a: list[str], b: list[str]) -> None:
    assert edit_distance(a, b) == recursive_distance(a, b)


def test_a_missing_recogniser_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faster_whisper", None)
    with pytest.raises(MissingExtraError, match=r"pip install .firstaudio\[intelligibility\]"):
        transcriber()


def test_a_model_that_cannot_be_had_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def unavailable(*args: object, **options: object) -> None:
        raise OSError("offline")

    monkeypatch.setitem(sys.modules, "faster_whisper", SimpleNamespace(WhisperModel=unavailable))
    with pytest.raises(BenchError, match="'tiny': offline"):
        transcriber("tiny")


def test_the_recogniser_gets_the_rate_that_it_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[int] = []

    class Model:
        def __init__(self, *args: object, **options: object) -> None: ...

        def transcribe(self, samples: np.ndarray, **options: object) -> tuple[list[SimpleNamespace], None]:
            heard.append(len(samples))
            return [SimpleNamespace(text=" Good"), SimpleNamespace(text=" morning. ")], None

    monkeypatch.setitem(sys.modules, "faster_whisper", SimpleNamespace(WhisperModel=Model))
    assert transcriber()(np.zeros(24000, np.int16), 24000) == "Good morning."
    assert heard == [RECOGNISER_RATE]
