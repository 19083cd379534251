import pytest

from firstaudio.text.addresses import speak_email, speak_url


@pytest.mark.parametrize(
    ("url", "language", "spoken"),
    [
        ("https://example.com/a?b=1", "en", "example dot com"),
        ("https://www.example.co.uk", "en-GB", "example dot co dot uk"),
        ("http://user:pw@example.org:8000/x", "en", "example dot org"),
        ("http://localhost:8000/", "en", "localhost"),
        ("www.beispiel.de", "de", "beispiel Punkt de"),
        ("https://exemple.fr", "fr", "exemple point fr"),
        ("https://пример.рф", "ru", "пример.рф"),
        ("https://..a..b..", "en", "a dot b"),
        ("https://", "en", ""),
    ],
)
def test_of_a_url_the_host_is_read(url: str, language: str, spoken: str):
    assert "".join(word for word, _, _ in speak_url(url, language)) == spoken


@pytest.mark.parametrize(
    ("address", "language", "spoken"),
    [
        ("joe@example.com", "en", "joe at example dot com"),
        ("mailto:joe@example.com", "en", "joe at example dot com"),
        ("ana.s@ejemplo.es", "es", "ana punto s arroba ejemplo punto es"),
        ("joe@example.com", "ja", "joe@example.com"),
    ],
)
def test_an_address_is_read_in_the_words_of_the_language(address: str, language: str, spoken: str):
    assert "".join(word for word, _, _ in speak_email(address, language)) == spoken


def test_each_word_knows_its_part_of_the_url():
    parts = [(word, "https://www.ex.com/p"[start:end]) for word, start, end in speak_url("https://www.ex.com/p", "en")]
    assert parts == [("ex", "ex"), (" dot ", "."), ("com", "com")]
