import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstaudio.engines.espeak.words import MAX_DIGITS, MAX_SPELLED, MAX_SPOKEN, SpokenText, WordFinder


def found(text, *events):
    finder = WordFinder(text)
    marks = [mark for at, sample in events for mark in finder.event(at, sample)] + finder.finish()
    return [(text[mark.start_char : mark.end_char], mark.start_sample) for mark in marks]


# Events as espeak-ng 1.52 gives them.
@pytest.mark.parametrize(
    ("text", "events", "words"),
    [
        ("It's true.", [(0, 0), (5, 50)], [("It's", 0), ("true", 50)]),
        ("mother-in-law state-of-the-art", [(0, 0), (14, 9)], [("mother-in-law", 0), ("state-of-the-art", 9)]),
        ("is 3.14 über", [(0, 0), (3, 10), (4, 20), (4, 30), (8, 40)], [("is", 0), ("3.14", 10), ("über", 40)]),
        ("etc. and so", [(0, 0), (4, 10), (9, 20)], [("etc", 0), ("and", 10), ("so", 20)]),
        ("!!! wow", [(3, 0), (4, 18)], [("wow", 18)]),
        ("a. b. c", [(0, 0), (2, 13), (5, 54)], [("a", 0), ("b", 13), ("c", 54)]),
        ("(hello) “quoted” words", [(1, 2), (9, 14), (17, 27)], [("hello", 2), ("quoted", 14), ("words", 27)]),
        ("你好，世界。很好", [(0, 0), (3, 14), (4, 20), (6, 30)], [("你好", 0), ("世", 14), ("界", 20), ("很好", 30)]),
        ("วันนี้อากาศดี", [(0, 0), (6, 11)], [("วันนี้", 0), ("อากาศดี", 11)]),
        ("日本語です", [(0, 0), (0, 42), (0, 73)], [("日本語です", 0)]),
        ("end ", [(0, 0), (3, 9), (7, 12)], [("end", 0)]),
        ("one two", [(0, 100), (4, 90)], [("one", 100), ("two", 100)]),
        ("", [], []),
    ],
)
def test_each_word_is_marked_once_and_whole(text, events, words):
    assert found(text, *events) == words


@given(st.text(max_size=60), st.lists(st.integers(0, 59), max_size=20))
def test_marks_are_in_order_and_within_the_text_whatever_the_events(text, positions):
    finder = WordFinder(text)
    marks = [mark for at in positions if at < len(text) for mark in finder.event(at, 0)] + finder.finish()
    bounds = [bound for mark in marks for bound in (mark.start_char, mark.end_char)]
    assert bounds == sorted(bounds)
    assert all(mark.start_char < mark.end_char <= len(text) for mark in marks)


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("x" * 40, f"{'x' * MAX_SPELLED} {'x' * MAX_SPELLED} {'x' * 8}"),
        ("7" * 30, f"{'7' * MAX_DIGITS} {'7' * 6}"),
        ("ha" * 35, f"{'ha' * (MAX_SPOKEN // 2)} {'ha' * 5}"),
        ("I I I I am", "I, I, I, I am"),
        ("I I I I I", "I, I, I, I, I"),
        ("Donaudampfschifffahrtsgesellschaft", "Donaudampfschifffahrtsgesellschaft"),
        ("+49-30-1234567-89 3.14159", "+49-30-1234567-89 3.14159"),
        ("这个句子没有任何标点符号也能说完整", "这个句子没有任何标点符号也能说完整"),
    ],
)
def test_what_the_library_would_lose_is_broken_up_and_nothing_else(text, spoken):
    assert SpokenText(text).text == spoken


@given(st.text(alphabet="xw7a ,.", max_size=120))
def test_every_character_is_found_again(text):
    spoken = SpokenText(text)
    assert len(spoken.text) >= len(text)
    kept = {}
    for at, char in enumerate(spoken.text):
        kept.setdefault(spoken.original(at), []).append(char)
    assert all(kept.get(at, [])[-1] == char for at, char in enumerate(text))
