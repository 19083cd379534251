import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstaudio.engines.kokoro.words import align, go_together, one_by_one, words_of


def heard(phonemes, alone):
    return [phonemes[start:end] for start, end in align(phonemes, alone)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("it's the dogs' bone", ["it's", "the", "dogs", "bone"]),
        ("  well-known 3.5% ", ["well-known", "3.5"]),
        ("* a", ["*", "a"]),
        ("日本語です", ["日本語です"]),
        ("", []),
    ],
)
def test_words_are_found_without_the_punctuation_at_their_ends(text, words):
    assert [text[start:end] for start, end in words_of(text)] == words


@pytest.mark.parametrize(
    ("words", "phonemes", "certain"),
    [
        (["hello", "world"], "həlˈO wˈɜɹld", True),
        (["of", "the", "42"], "ʌvðə fˈɔɹTi tˈu", False),
        (["of", "the"], "ʌvðə", False),
        (["the", "USA"], "ðə jˌuˌɛsˈA", False),
        (["3497"], "θɹˈi θˈWzənd", True),
    ],
)
def test_words_and_sounds_go_together_only_where_nothing_can_be_mistaken(words, phonemes, certain):
    assert go_together(words, phonemes) == certain


def test_one_word_has_all_the_sounds():
    assert one_by_one("θɹˈi θˈWzənd", 1) == [(0, 12)]


def test_sounds_of_a_number_belong_to_the_number():
    assert heard("ðə θɹˈi θˈWzənd mˈɛn", ["ðə", "θɹˈi θˈWzənd", "mˈɛn"]) == ["ðə", "θɹˈi θˈWzənd", "mˈɛn"]


def test_words_that_are_said_as_one_share_it():
    assert heard("ˈɛnd ʌvðə wˈɜɹld", ["ˈɛnd", "ʌv", "ðə", "wˈɜɹld"]) == ["ˈɛnd", "ʌv", "ðə", "wˈɜɹld"]


def test_merged_words_and_a_number_in_one_clause_do_not_cancel_out():
    """Three words, three words of sounds, and yet not one by one."""
    assert heard("ʌvðə fˈɔɹTi tˈu", ["ʌv", "ðə", "fˈɔɹTi tˈu"]) == ["ʌv", "ðə", "fˈɔɹTi tˈu"]


def test_a_word_that_is_not_heard_has_no_sounds():
    assert heard("wˈʌn θɹˈi", ["wˈʌn", "", "θɹˈi"]) == ["wˈʌn", "", "θɹˈi"]


words = st.text(st.sampled_from("abcəɪˈ"), min_size=1, max_size=6)


@given(st.lists(words, max_size=12), st.lists(st.lists(words, max_size=3), max_size=10))
def test_ranges_ascend_within_the_clause_whatever_was_said(said, alone):
    phonemes = " ".join(said)
    ranges = align(phonemes, [" ".join(parts) for parts in alone])
    assert len(ranges) == len(alone)
    ends = [0, *(at for both in ranges for at in both), len(phonemes)]
    assert ends == sorted(ends)


@given(st.lists(st.lists(words, min_size=1, max_size=3), max_size=10))
def test_what_is_said_as_it_is_said_alone_is_found_exactly(alone):
    whole = [" ".join(parts) for parts in alone]
    assert heard(" ".join(whole), whole) == whole
