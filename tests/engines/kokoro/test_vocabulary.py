import logging

from hypothesis import given
from hypothesis import strategies as st

from firstaudio.engines.kokoro.vocabulary import IDS, NUM_IDS, PAD, Vocabulary


def test_the_table_is_that_of_the_published_model():
    """Sampled from `config.json` of hexgrad/Kokoro-82M at both ends of every row."""
    listed = (
        ";1 ?6 —9 “14 ʣ18 A24 I25 O31 Q33 S35 T36 W39 Y41 ᵊ42 a43 f48 h50 z68 ɑ69 æ72 β75 ç78 ɖ80 ə83 ɚ85 ɜ87 "
        "ɟ90 ɡ92 ɥ99 ɨ101 ɪ102 ʝ103 ɯ110 ø116 ɸ118 œ120 ɹ123 ɾ125 ɻ126 ʁ128 ʧ133 ʊ135 ʋ136 ʌ138 ɤ140 χ142 "
        "ʎ143 ʒ147 ʔ148 ˈ156 ː158 ʰ162 ʲ164 ↓169 →171 ↘173 ᵻ177 "
    )
    published = {each[0]: int(each[1:]) for each in listed.split()} | {" ": 16, "\u0303": 17, "\uab67": 23}
    assert {symbol: IDS[symbol] for symbol in published} == published
    assert len(IDS) == len(set(IDS.values())) == 114
    assert all(PAD < number < NUM_IDS for number in IDS.values())


def test_a_sound_that_is_lacking_becomes_the_nearest_one():
    vocabulary = Vocabulary()
    assert vocabulary.fit("gɫʉɝ") == "ɡluɜɹ"
    assert not vocabulary.lost


def test_letters_that_join_a_tilde_are_taken_apart():
    assert Vocabulary().fit("p\u00f5j") == "po\u0303j"


def test_what_only_shades_a_sound_is_left_out_without_a_count():
    vocabulary = Vocabulary()
    assert vocabulary.fit("t̪ˤ˥") == "t"
    assert not vocabulary.lost


def test_a_sound_without_any_token_is_counted_and_logged_once(caplog):
    vocabulary = Vocabulary()
    with caplog.at_level(logging.WARNING):
        assert [vocabulary.fit("a5b"), vocabulary.fit("5")] == ["ab", ""]
    assert vocabulary.lost == {"5": 2}
    assert [record.getMessage() for record in caplog.records] == ["no token for the sound '5' (U+0035): it is left out"]


@given(st.text())
def test_what_fits_has_one_token_for_each_character(text):
    vocabulary = Vocabulary()
    fitted = vocabulary.fit(text)
    assert len(vocabulary.encode(fitted)) == len(fitted)
    assert vocabulary.fit(fitted) == fitted


@given(st.text(st.sampled_from(sorted(IDS))))
def test_symbols_of_the_table_stay_as_they_are(phonemes):
    by_id = {number: symbol for symbol, number in IDS.items()}
    vocabulary = Vocabulary()
    assert "".join(by_id[number] for number in vocabulary.encode(vocabulary.fit(phonemes))) == phonemes
