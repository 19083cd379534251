"""Text to sounds, with the real espeak-ng."""

import logging

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstaudio.config.fields import EspeakConfig
from firstaudio.engines.espeak.phonemizer import Phonemizer
from firstaudio.engines.kokoro.phonemes import ESPEAK_LANGUAGES, EspeakPronouncer
from firstaudio.engines.kokoro.vocabulary import IDS, Vocabulary


@pytest.fixture(scope="module")
def phonemizer():
    phonemizer = Phonemizer(EspeakConfig())
    yield phonemizer
    phonemizer.close()


@pytest.fixture
def espeak(phonemizer):
    return EspeakPronouncer(phonemizer, Vocabulary())


def said(espeak, text, language="en-us"):
    sounds = espeak.sounds(text, language)
    return "".join(sound.phonemes + " " * sound.space_after for sound in sounds).strip()


class Mute:
    """A phonemizer that has no sound for anything."""

    def phonemize(self, stretches, _language):
        return [""] * len(stretches)


@pytest.mark.parametrize(
    ("language", "text", "phonemes"),
    [
        ("en-us", "Hi", "hˈI"),
        ("en-us", "OK", "ˌOkˈA"),
        ("en-us", "7", "sˈɛvən"),
        ("en-us", "Hello, world!", "həlˈO, wˈɜɹld!"),
        ("en-gb", "Hello, world!", "həlˈQ, wˈɜːld!"),
        ("es", "¿Qué? ¡Sí!", "kˈe? sˈi!"),
        ("fr-fr", "Bonjour, week-end.", "bɔ̃ʒˈuʁ, wˈiːkˈɛnd."),
        ("hi", "नमस्ते।", "nəmˈʌsteː."),
        ("it", "pizza (grande)", "pˈiʦːa (ɡrˈande)"),
        ("pt-br", "olá — não", "olˈa — nˈɐ̃ʊ̃"),
    ],
)
def test_sounds_and_marks_stand_where_the_text_has_them(espeak, language, text, phonemes):
    assert said(espeak, text, language) == phonemes


TEXTS = {
    "en-us": "button mountain loch jalapeño vague genre déjà vu garçon uh-oh bottle rhythm Llanelli Dvořák psst whale",
    "en-gb": "button certain croissant poor tour bird heroes real idea museum theatre towel Australian tomato whale",
    "es": "el perro y la guerra de España llueve yo México xilófono agua jefe zapato cinco whisky sándwich jazz 1999",
    "fr-fr": "un bon vin blanc peuple œuvre lune huit montagne parking brun garçon ils ont été à l'hôtel 1999",
    "hi": "नमस्ते झंडा ज्ञान क्षमा ऋषि फूल ख़बर ग़लत पढ़ना लड़का हँसना पाँच हिन्दी मैं हूँ ट्रेन ढोल ञ ङ १९९९",
    "it": "ciao gli gnocchi pizza ragazzo zucchero sciare famiglia quattro azienda perché città weekend jazz 1999",
    "pt-br": "olá não coração muito bem amanhã carro rato dia filho ninho põe mãe cães lua exame advogado 1999",
}


@pytest.mark.parametrize("language", ESPEAK_LANGUAGES)
def test_the_sounds_of_every_language_have_tokens(espeak, language):
    assert len(said(espeak, TEXTS[language], language).split()) >= len(TEXTS[language].split()) - 2
    assert not espeak.mute
    assert not espeak._vocabulary.lost


@pytest.mark.parametrize("word", ["house", "3497", "bcdf", "$5", "USA", "½"])
@pytest.mark.parametrize("count", [30, 300])
def test_a_clause_without_an_end_loses_no_word(espeak, word, count):
    """espeak-ng itself forgets what comes after a thousand phonemes of a clause."""
    alone = len(said(espeak, word).split())
    assert len(said(espeak, " ".join([word] * count)).split()) == alone * count


def test_letters_in_disguise_are_read(espeak):
    assert said(espeak, "①") == said(espeak, "1") != ""


def test_what_has_no_sound_in_a_language_is_counted_and_logged_once(espeak, caplog):
    espeak._phonemizer = Mute()
    with caplog.at_level(logging.WARNING):
        espeak.sounds("one, two", "en-us")
    assert espeak.mute == {"en-us": 2}
    assert [record.getMessage()[:33] for record in caplog.records] == ["espeak-ng has no sound for 'one' "]


@settings(max_examples=60, deadline=None)
@given(st.text(st.sampled_from("abcdefghij AEIO 0123456789 .,;:!?-'\"()€%&éßñ"), max_size=80))
def test_any_text_becomes_tokens_and_every_digit_is_heard(phonemizer, text):
    espeak = EspeakPronouncer(phonemizer, Vocabulary())
    for sound in espeak.sounds(text, "en-us"):
        assert set(sound.phonemes) <= set(IDS)
        slice_ = text[sound.start_char : sound.end_char]
        assert sound.phonemes or not any(each.isalnum() for each in slice_)
    assert not espeak.mute
    assert not espeak._vocabulary.lost
