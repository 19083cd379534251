import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstaudio.text.boundaries import Kind, cut_within, find_boundaries
from firstaudio.text.characters import is_speakable

MARKS = {Kind.PHRASE: "+", Kind.CLAUSE: "|", Kind.STRONG_CLAUSE: "#", Kind.SENTENCE: "/", Kind.PARAGRAPH: "//"}
TOKENS = """a Dr. e.g. 3 . 5 ... ! ? , ; : - — ( ) " ' “ ” and the 你好 。 」 か ก हि ।"""
FRAGMENTS = [*TOKENS.split(), " ", " ", " ", "\n\n", "word "]
normalised_texts = st.lists(st.sampled_from(FRAGMENTS), max_size=25).map("".join).map(str.strip)


def marked(text: str, language: str = "en") -> str:
    """`text` with the mark of each boundary stronger than a word's; white space before a mark is left out."""
    parts, begin = [], 0
    for position, kind in find_boundaries(text, language=language):
        part = text[begin:position]
        parts.append(part.rstrip() + MARKS[kind] if kind in MARKS else part)
        begin = position
    return "".join([*parts, text[begin:]])


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("en", "Dr. Smith left at 5 p.m. yesterday. He is 5. Ok", "Dr. Smith left+at 5 p.m. yesterday./He is 5./Ok"),
        ("en", "In the U.S. he paid. See No. 5 now", "In the U.S. he paid./See No. 5 now"),
        ("en", "J. R. R. Tolkien wrote it, e.g. here", "J. R. R. Tolkien wrote it,|e.g. here"),
        ("en", "It is 3.14, 1,000 at 12:30; 1 000 000", "It is 3.14,|1,000+at 12:30;#1 000 000"),
        ("en", "1. Wash it. 2. Dry it.", "1. Wash it./2. Dry it."),
        ("en", "Wait... what? No... Yes… ok", "Wait...|what?/No.../Yes…|ok"),
        ("en", '"Stop!" he said. "Go." She went', '"Stop!"|he said./"Go."/She went'),
        ("en", "He went (slowly.) Then (or not) home", "He went|(slowly.)/Then|(or not)|home"),
        ("en", "It – so they say – works—well", "It –|so they say –|works—|well"),
        ("en", "We sat at the table because it rained", "We sat+at the table+because it rained"),
        ("en", "Well: yes! One\n\nTwo", "Well:#yes!/One//Two"),
        ("de", "Das ist z. B. gut, weil er am 3. Mai kam.", "Das ist z. B. gut,|weil er+am 3. Mai kam."),
        ("fr", "M. Dupont et Mme. Roux sont là ! Oui", "M. Dupont+et Mme. Roux sont là !/Oui"),
        ("es", "El Sr. López vino. ¿Qué tal?", "El Sr. López vino./¿Qué tal?"),
        ("ru", "Это т. е. так. Да", "Это т. е. так./Да"),
        ("zh", "你好，世界。“好。”他说：“我去。”", "你好，|世界。/“好。”/他说：#“我去。”"),
        ("ja", "「はい。」と言った。私はコンピュータを使う", "「はい。」|と+言った。/私は+コンピュータを+使う"),
        ("th", "สวัสดีครับ ผมชื่อสมชาย", "สวัสดีครับ+ผมชื่อสมชาย"),
        ("hi", "यह एक वाक्य है। यह दूसरा, है।", "यह एक वाक्य है।/यह दूसरा,|है।"),
        ("ar", "مرحبا، كيف حالك؟ بخير", "مرحبا،|كيف حالك؟/بخير"),
        ("xx", "Unknown words. Of a tongue", "Unknown words./Of a tongue"),
    ],
)  # fmt: skip
def test_boundaries_are_where_a_reader_pauses(language: str, text: str, expected: str):
    assert marked(text, language) == expected


@given(normalised_texts, st.sampled_from(["en", "de", "zh", "xx"]))
def test_what_follows_a_boundary_can_be_spoken(text: str, language: str):
    boundaries = list(find_boundaries(text, language=language))
    positions = [0, *(boundary.position for boundary in boundaries), len(text)]
    assert positions == sorted(set(positions) | {0, len(text)}) or not text
    assert all(is_speakable(text[position:]) and not text[position].isspace() for position in positions[1:-1])


@given(normalised_texts, st.data())
def test_a_boundary_stands_whatever_text_comes_later(text: str, data: st.DataObject):
    known = data.draw(st.integers(0, len(text)))
    early = list(find_boundaries(text[:known], final=False))
    assert early == list(find_boundaries(text))[: len(early)]


@given(normalised_texts, st.data())
def test_the_walk_may_begin_at_any_boundary(text: str, data: st.DataObject):
    boundaries = list(find_boundaries(text))
    at = data.draw(st.integers(0, len(boundaries)))
    start = boundaries[at - 1].position if at else 0
    assert list(find_boundaries(text, start)) == boundaries[at:]


@given(st.text(min_size=2, max_size=40), st.data())
def test_a_cut_within_lies_within(text: str, data: st.DataObject):
    lowest = data.draw(st.integers(0, len(text) - 1))
    limit = data.draw(st.integers(lowest + 1, len(text)))
    assert lowest < cut_within(text, lowest, limit) <= limit


@given(st.text("ae\u0301\u0308\u093f", min_size=1, max_size=40))
def test_a_cut_within_never_parts_a_letter_from_its_marks(text: str):
    cut = cut_within("a" + text + "a", 0, len(text))
    marks = [unicodedata.category(char)[0] == "M" for char in text]
    assert not marks[cut - 1] or all(marks)


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("well-known-things", 13, "well-known-"),
        ("abcdef", 4, "abcd"),
        ("cafe\u0301s", 4, "caf"),
        ("क्षमा", 1, "क"),
        ("เเก", 2, "เเ"),
        ("abc1234", 5, "abc"),
        ("abc3.14", 4, "abc"),
        ("12345678", 4, "1234"),
        ("don't", 4, "don'"),
    ],
)
def test_a_long_word_is_cut_between_characters(text: str, limit: int, expected: str):
    assert text[: cut_within(text, 0, limit)] == expected
