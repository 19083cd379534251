import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstaudio.engines.kokoro.marks import split


def shown(text, language="en-us"):
    return " ".join(f"<{piece.text}>" if piece.is_mark else piece.text for piece in split(text, language))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello, world!", "Hello <,> world <!>"),
        ("wait... what?! Really!!!", "wait <…> what <?> <!> Really <!>"),
        ("group)—and (so on)", "group <)> <—> and <(> so on <)>"),
        ('He said: "Go." Then', "He said <:> <“> Go <.> <”> Then"),
        ("one - two -- three", "one <—> two <—> three"),
        ("Dr. Smith came at 5 a.m. today. So did I. Then", "Dr. Smith came at 5 a.m. today <.> So did I <.> Then"),
        ("etc., and e.g. this.", "etc. <,> and e.g. this <.>"),
        ("3.14, 3,497 and 10:30.", "3.14 <,> 3,497 and 10:30 <.>"),
        ("well-known 1990–2000 file.txt", "well-known 1990–2000 file.txt"),
        ("¿Qué tal? «Bien»", "Qué tal <?> <“> Bien <”>"),
        ("don’t ‘quote’", "don’t quote’"),
        ("[a] {b}", "<(> a <)> <(> b <)>"),
    ],
)
def test_marks_are_told_from_the_dots_and_commas_of_words_and_numbers(text, expected):
    assert shown(text) == expected


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("नमस्ते। दुनिया", "hi", "नमस्ते <.> दुनिया"),
        ("你好，世界。", "cmn", "你好 <,> 世界 <.>"),
        ("「はい」、そう", "ja", "<“> はい <”> <,> そう"),
    ],
)
def test_other_scripts_have_their_own_marks(text, language, expected):
    assert shown(text, language) == expected


def test_a_full_width_stop_is_followed_by_a_space_that_nobody_wrote():
    assert [piece.space_after for piece in split("你好，世界", "cmn")] == [False, True, False]


@given(st.text(st.sampled_from("ab1 .,:;!?-—–…\"'“”()«»。\n3"), max_size=60))
def test_pieces_are_slices_of_the_text_in_order_and_only_blanks_and_marks_lie_between(text):
    end = 0
    for piece in split(text, "en-us"):
        assert not any(each.isalnum() for each in text[end : piece.start_char])
        assert piece.is_mark or piece.text == text[piece.start_char : piece.end_char] == piece.text.strip() != ""
        assert end <= piece.start_char < piece.end_char
        end = piece.end_char
    assert not any(each.isalnum() for each in text[end:])
