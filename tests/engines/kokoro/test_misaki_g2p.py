"""misaki's way, with a stand-in for misaki: tokens as it gives them, espeak-ng for what it lacks."""

import importlib.machinery
import logging
import sys
from types import ModuleType, SimpleNamespace

import pytest

from firstaudio.config.fields import EspeakConfig, KokoroConfig
from firstaudio.engines.espeak.phonemizer import Phonemizer
from firstaudio.engines.kokoro import misaki_g2p
from firstaudio.engines.kokoro.tokens import TextToTokens
from firstaudio.errors import ConfigError, UnknownLanguageError

LEXICON = {"Hello": "həlˈO", "world": "wˈɜɹld", "3": "θɹˈi", ",": ",", "!": "!", "the": "ðə"}


def token(text, whitespace, phonemes):
    return SimpleNamespace(text=text, whitespace=whitespace, phonemes=phonemes)


class English:
    """Words by white space, marks apart; what the lexicon lacks is asked of the fallback."""

    made = 0

    def __init__(self, *, british, fallback, unk):
        self.british, self.fallback = british, fallback
        assert unk == ""
        English.made += 1

    def __call__(self, text, *, preprocess):
        assert preprocess is False
        tokens = []
        for word in text.split():
            body = word.rstrip(",!")
            tokens.append(token(body, "", self.say(body)))
            tokens += [token(mark, "", mark) for mark in word[len(body) :]]
            tokens[-1].whitespace = " "
        return "", tokens

    def say(self, word):
        return LEXICON[word] if word in LEXICON else self.fallback(token(word, "", None))[0]


class Chinese:
    def __call__(self, text):
        assert not any(each.isascii() and each.isalpha() for each in text)
        return {"你好": "ni↓xau↓", "世界": "ʂɨ↘ʨje↘", "鿿": "❓"}.get(text, ""), None


def module(name, **contents):
    made = ModuleType(name)
    made.__spec__ = importlib.machinery.ModuleSpec(name, None)
    vars(made).update(contents)
    return made


@pytest.fixture
def misaki(monkeypatch):
    """A stand-in for misaki with all that English and Chinese need; Japanese is not installed."""
    monkeypatch.setattr(English, "made", 0)
    packages = {
        "misaki": module("misaki"),
        "misaki.en": module("misaki.en", G2P=English),
        "misaki.zh": module("misaki.zh", ZHG2P=Chinese),
        "spacy": module("spacy"),
        "spacy.util": module("spacy.util", is_package=lambda name: name == "en_core_web_sm"),
    }
    for name in ("addict", "num2words", "cn2an", "jieba", "ordered_set", "pypinyin"):
        packages[name] = module(name)
    for name, made in packages.items():
        monkeypatch.setitem(sys.modules, name, made)
    return packages


def start(g2p="auto"):
    tokens = TextToTokens(KokoroConfig(g2p=g2p), Phonemizer(EspeakConfig()))
    try:
        tokens.start()
    except ConfigError:
        tokens.close()
        raise
    return tokens


@pytest.fixture
def tokens(misaki):
    tokens = start()
    yield tokens
    tokens.close()


def said(tokens, text, language):
    return "|".join(run.source.phonemes for run in tokens.runs(text, language))


def test_english_takes_misakis_sounds_and_espeaks_where_its_lexicon_ends(tokens):
    assert said(tokens, "Hello, the zyx world!", "en-us") == "həlˈO, ðə zˈɪks wˈɜɹld!"
    assert tokens.reason("en-us").startswith("misaki pronounces en-us")


def test_words_are_those_of_misaki_without_asking_again(tokens):
    text = " Hello, 3 world!"
    [run] = tokens.runs(text, "en-us")
    words = [
        (text[w.start_char : w.end_char], run.source.phonemes[w.start_token : w.end_token]) for w in tokens.words(run)
    ]
    assert words == [("Hello", "həlˈO"), ("3", "θɹˈi"), ("world", "wˈɜɹld")]


def test_chinese_is_spoken_with_its_own_marks_and_latin_letters_in_english(tokens):
    assert "cmn" in tokens.languages
    assert said(tokens, "你好，世界 OK。", "cmn") == "ni↓xau↓, ʂɨ↘ʨje↘ ˌOkˈA."


def test_what_misaki_does_not_know_is_counted(tokens):
    assert said(tokens, "你好，鿿", "cmn") == "ni↓xau↓,"
    assert tokens._misaki.mute == {"cmn": 1}


def test_other_languages_stay_with_espeak(tokens):
    assert said(tokens, "año", "es") == "ˈaɲo"


def test_a_language_whose_packages_are_missing_names_them(tokens):
    with pytest.raises(UnknownLanguageError, match=r"fugashi.*not installed: pip install 'misaki\[ja\]'"):
        tokens.runs("はい", "ja")


def test_espeak_means_espeak_even_where_misaki_is_installed(misaki):
    tokens = start("espeak")
    assert said(tokens, "zyx", "en-us") == "zˈɪks"
    assert English.made == 0
    tokens.close()


def test_without_spacys_model_auto_speaks_through_espeak_and_says_why(misaki, monkeypatch, caplog):
    monkeypatch.setattr(misaki["spacy.util"], "is_package", lambda name: False)
    with caplog.at_level(logging.INFO):
        tokens = start()
    assert "spacy download en_core_web_sm" in tokens.reason("en-us")
    assert tokens.reason("en-us") in caplog.messages
    assert said(tokens, "Hello world", "en-us") == "həlˈO wˈɜɹld"
    assert English.made == 0  # its constructor would download
    tokens.close()


def test_without_spacys_model_asking_for_misaki_is_an_error_with_the_next_step(misaki, monkeypatch):
    monkeypatch.setattr(misaki["spacy.util"], "is_package", lambda name: False)
    with pytest.raises(ConfigError, match=r"kokoro\.g2p is misaki, but .*python -m spacy download en_core_web_sm"):
        start("misaki")


def test_a_misaki_that_breaks_while_it_starts_is_reported_and_espeak_speaks(misaki, monkeypatch):
    def broken(**_):
        raise OSError("no lexicon")

    monkeypatch.setattr(misaki["misaki.en"], "G2P", broken)
    tokens = start()
    assert "no lexicon" in tokens.reason("en-us")
    assert said(tokens, "Hi", "en-us") == "hˈI"
    tokens.close()


def test_a_python_without_misaki_is_not_told_to_install_it(monkeypatch):
    monkeypatch.setattr(misaki_g2p, "_is_there", lambda name: name != "misaki")
    monkeypatch.setattr(misaki_g2p, "FIRST_PYTHON_WITHOUT", (3, 0))
    assert misaki_g2p.missing("en-us").startswith("misaki has no release for this version of Python")


def test_without_misaki_its_extra_is_named(monkeypatch):
    monkeypatch.setattr(misaki_g2p, "FIRST_PYTHON_WITHOUT", (99, 0))
    monkeypatch.setattr(misaki_g2p, "_is_there", lambda name: name != "misaki")
    assert misaki_g2p.missing("en-us") == "misaki is not installed: pip install 'firstaudio[misaki]'"
    assert misaki_g2p.missing("cmn") == "misaki is not installed: pip install 'misaki[zh]'"
