import pytest

from firstaudio.engines.kokoro.notation import from_espeak


@pytest.mark.parametrize(
    ("language", "ipa", "expected"),
    [
        # As misaki's lexicon writes goat, church, butter, near, little, square, bottle, bath, fire.
        ("en-us", "ɡˈo͡ʊt", "ɡˈOt"),
        ("en-us", "t͡ʃˈɜːt͡ʃ", "ʧˈɜɹʧ"),
        ("en-us", "bˈʌɾɚ", "bˈʌTəɹ"),
        ("en-us", "bˈʌʔn̩", "bˈʌtn"),
        ("en-us", "nˌɪ͡ɹ", "nˌɪɹ"),
        ("en-us", "lˈɪɾə͡l", "lˈɪTᵊl"),
        ("en-us", "fˈa͡ɪ͡ɚ", "fˈIəɹ"),
        ("en-us", "mˈʌðɚɹɪŋ", "mˈʌðəɹɪŋ"),
        ("en-gb", "ɡˈə͡ʊt", "ɡˈQt"),
        ("en-gb", "skwˈe͡ə", "skwˈɛː"),
        ("en-gb", "nˌi͡ə", "nˌɪə"),
        ("en-gb", "fˈɑːðə", "fˈɑːðə"),
        ("it", "pˈit͡sːa raɡˈat͡sːo d͡zˈio", "pˈiʦːa raɡˈaʦːo ʣˈio"),
        ("es", "t͡ʃˈiko rˈe͡ɪ", "ʧˈiko rˈA"),
        ("hi", "lˈʌr.kˌaː", "lˈʌɽkˌaː"),
        ("fr-fr", "(͡e͡n)wˈiːkˈɛnd(͡f͡r) bɔ̃", "wˈiːkˈɛnd bɔ̃"),
        ("pt-br", "nˌɐ̃͡ʊ̃", "nˌɐ̃ʊ̃"),
    ],
)
def test_the_notation_is_the_one_of_the_models_own_texts(language, ipa, expected):
    assert from_espeak(ipa, language) == expected


def test_a_dot_of_espeaks_notation_never_becomes_a_full_stop():
    assert from_espeak("s.ˈi a-b", "it") == "sˈi ab"
