"""Runs of tokens and the words in them; the real espeak-ng speaks."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstaudio.config.fields import EspeakConfig, KokoroConfig
from firstaudio.engines.espeak.phonemizer import Phonemizer
from firstaudio.engines.kokoro.phonemes import Sound
from firstaudio.engines.kokoro.tokens import MAX_TOKENS, TextToTokens, even_cuts, prepare
from firstaudio.engines.kokoro.vocabulary import PAD
from firstaudio.errors import UnknownLanguageError

SENTENCE = "And when the 12 people came to the house of the king, nobody knew what to say, because it was late. "


def start(g2p="espeak", limit=MAX_TOKENS):
    tokens = TextToTokens(KokoroConfig(g2p=g2p), Phonemizer(EspeakConfig()), limit)
    tokens.start()
    return tokens


@pytest.fixture(scope="module")
def tokens():
    tokens = start()
    yield tokens
    tokens.close()


@pytest.fixture(scope="module")
def short():
    """The same, but no run is longer than 20 tokens."""
    tokens = start(limit=20)
    yield tokens
    tokens.close()


def phonemes(run):
    return run.source.phonemes[run.start_token : run.start_token + len(run.ids)]


def spoken(tokens, text, run):
    """(word, its sounds) of a run."""
    own = phonemes(run)
    return [
        (text[word.start_char : word.end_char], own[word.start_token : word.end_token]) for word in tokens.words(run)
    ]


@pytest.mark.parametrize(("text", "expected"), [("Hi", "hˈI"), ("OK", "ˌOkˈA"), ("7", "sˈɛvən")])
def test_a_short_text_speaks_and_is_not_padded(tokens, text, expected):
    [run] = tokens.runs(text, "en-us")
    assert phonemes(run) == expected
    assert len(run.ids) == len(expected)
    assert PAD not in run.ids
    assert run.is_last


@pytest.mark.parametrize("text", ["", " ", "...", "—", '"!"'])
def test_a_text_without_a_sound_has_no_run(tokens, text):
    assert tokens.runs(text, "en-us") == []


def test_a_mark_before_the_first_sound_is_left_out_and_a_quote_is_not(tokens):
    assert [phonemes(run) for run in tokens.runs("... “Yes.” ", "en-us")] == ["“jˈɛs.”"]


def test_a_long_text_is_cut_at_sentences_and_evenly(tokens):
    text = SENTENCE * 12
    runs = tokens.runs(text, "en-us")
    assert all(text[run.start_char :].startswith("And when") for run in runs)
    assert min(len(run.ids) for run in runs) > MAX_TOKENS / 4
    assert [run.is_last for run in runs] == [False] * (len(runs) - 1) + [True]


def test_a_sentence_without_an_end_is_cut_before_a_conjunction(tokens):
    text = "the old man walked to the town and the young man walked to the old house " * 10
    runs = tokens.runs(text, "en-us")
    assert len(runs) > 1
    assert {text[run.start_char :].split()[0] for run in runs[1:]} <= {"and", "to"}


@settings(max_examples=60, deadline=None)
@given(text=st.text(st.sampled_from("abcdeo AEI 0123456789 .,;:!?-'\"()—\n"), max_size=90))
def test_every_token_of_a_text_is_in_exactly_one_run(tokens, short, text):
    whole = tokens.runs(text, "en-us")
    runs = short.runs(text, "en-us")
    assert [each for run in runs for each in run.ids] == [each for run in whole for each in run.ids]
    assert all(1 <= len(run.ids) <= 20 for run in runs)
    assert [run.start_char for run in runs[1:]] == [run.end_char for run in runs[:-1]]


@settings(max_examples=60, deadline=None)
@given(text=st.text(st.sampled_from("abcdeo AEI 0123456789 .,;:!?-'\"()—\n"), max_size=90))
def test_words_ascend_within_text_and_run_and_share_no_token(short, text):
    last_char = 0
    for run in short.runs(text, "en-us"):
        last_token = 0
        for word in short.words(run):
            assert last_char <= word.start_char < word.end_char <= len(text)
            assert last_token <= word.start_token < word.end_token <= len(run.ids)
            last_char, last_token = word.end_char, word.end_token


def test_words_of_several_runs_are_those_of_one(tokens, short):
    text = SENTENCE.strip()
    [whole] = tokens.runs(text, "en-us")
    words = [text[word.start_char : word.end_char] for run in short.runs(text, "en-us") for word in short.words(run)]
    assert words == [word for word, _ in spoken(tokens, text, whole)] == text.replace(",", "").strip(".").split()


def test_numbers_and_merged_words_have_their_own_sounds(tokens):
    text = "Of the 3,497 people, Dr. Smith (and NASA) said no."
    [run] = tokens.runs(text, "en-us")
    assert spoken(tokens, text, run) == [
        ("Of", "ʌv"),
        ("the", "ðə"),
        ("3,497", "θɹˈi θˈWzənd fˈɔɹhˈʌndɹɪd nˈInti sˈɛvən"),
        ("people", "pˈipᵊl"),
        ("Dr", "dˈɑktəɹ"),
        ("Smith", "smˈɪθ"),
        ("and", "ænd"),
        ("NASA", "nˈæsə"),
        ("said", "sˈɛd"),
        ("no", "nˈO"),
    ]


def test_an_unknown_language_names_those_that_are_spoken(tokens):
    with pytest.raises(UnknownLanguageError, match=r"'sw'.*en-us.*pt-br"):
        tokens.runs("habari", "sw")


def test_japanese_without_misaki_says_what_to_do(tokens):
    with pytest.raises(UnknownLanguageError, match=r"kokoro\.g2p is espeak; auto takes misaki"):
        tokens.runs("はい", "ja")


def test_the_way_that_a_language_takes_has_a_reason(tokens):
    why = "kokoro.g2p is espeak; auto takes misaki where it is installed"
    assert tokens.reason("en-us") == f"espeak-ng pronounces en-us: {why}"
    assert tokens.reason("ja") == f"nothing pronounces ja: {why}"
    assert tokens.reason("es") == "espeak-ng pronounces es: misaki has nothing else for it"


lengths = st.integers(0, 3000)


@given(lengths, st.dictionaries(st.integers(0, 3000), st.integers(0, 12)), st.integers(1, 600))
def test_cuts_leave_no_part_longer_than_the_limit_nor_an_empty_one(length, ranks, limit):
    cuts = [0, *even_cuts(0, length, ranks, limit), length]
    parts = [end - start for start, end in pairwise(cuts)]
    assert sum(parts) == length
    assert all(0 < part <= limit for part in parts) or length == 0


@given(st.integers(511, 980), st.integers(0, 12))
def test_a_text_for_two_runs_is_divided_at_the_better_place(length, rank):
    middle = length // 2
    assert list(even_cuts(0, length, {middle - 20: rank + 1, middle: rank}, MAX_TOKENS)) == [middle - 20]
    assert list(even_cuts(0, length, {middle - 20: rank, middle + 1: rank}, MAX_TOKENS)) == [middle + 1]


def test_spaces_are_put_once_wherever_something_stays_unsaid():
    sounds = [
        Sound(0, 1, "a", "word", True),
        Sound(2, 3, "", "word", True),
        Sound(4, 5, "b", "word", False),
        Sound(5, 6, "!", "mark", True),
    ]
    prepared = prepare("a * b! ", "en-us", None, sounds)
    assert prepared.phonemes == "a b!"
    assert prepared.offsets == [0, 2, 3]
