import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstaudio.engines.kokoro.voices import ALIASES, STYLE_DIM, VoiceTable
from firstaudio.errors import ConfigError, UnknownLanguageError, UnknownVoiceError

NAMES = ["af_heart", "af_bella", "am_michael", "bf_emma", "bm_george", "ef_dora", "em_alex", "jf_alpha"]
OPENAI = sorted(set(ALIASES) - {"default", "af_heart"})


def styles(value=0.0, num_rows=510, shape=None):
    """Row n holds n + value everywhere."""
    rows = np.arange(num_rows, dtype=np.float32) + np.float32(value)
    return np.broadcast_to(rows[:, None, None], (num_rows, 1, STYLE_DIM)).reshape(shape or (num_rows, 1, STYLE_DIM))


def archive(path, names=NAMES, **more):
    voices = {name: styles(1000 * index) for index, name in enumerate(names)} | more
    with path.open("wb") as file:
        np.savez(file, **voices)
    return path


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return VoiceTable(archive(tmp_path_factory.mktemp("voices") / "voices.bin"))


def test_voices_have_language_and_gender_by_their_prefix(table):
    own = {voice.id: (voice.name, voice.language, voice.gender) for voice in table.voices() if voice.alias_of is None}
    assert own["af_heart"] == ("Heart", "en-us", "female")
    assert own["bm_george"] == ("George", "en-gb", "male")
    assert own["jf_alpha"] == ("Alpha", "ja", "female")
    assert sorted(own) == sorted(NAMES)
    assert table.languages == ("en-gb", "en-us", "es", "ja")


def test_all_thirteen_names_of_openai_are_aliases():
    listed = "alloy, ash, ballad, cedar, coral, echo, fable, marin, nova, onyx, sage, shimmer, verse"
    assert ", ".join(OPENAI) == listed


@pytest.mark.parametrize("name", [*OPENAI, "default"])
def test_the_names_of_other_systems_are_real_voices(table, name):
    voice, language = table.resolve(name, None)
    assert voice in NAMES
    assert table.resolve(voice, None) == (voice, language)
    assert name in {each.id for each in table.voices() if each.alias_of == voice}


def test_an_alias_whose_voice_is_missing_keeps_its_gender_and_language(table):
    assert table.resolve("onyx", None) == ("am_michael", "en-us")
    assert table.resolve("fable", None) == ("bm_george", "en-gb")


def test_a_file_without_the_default_voice_still_has_a_default(tmp_path):
    table = VoiceTable(archive(tmp_path / "own.npz", ["my_clone"]))
    assert table.resolve("af_heart", None) == table.resolve("default", None) == ("my_clone", "en-us")
    assert {voice.alias_of for voice in table.voices()} == {None, "my_clone"}
    assert len(table.voices()) == len(ALIASES) + 1


def test_names_are_matched_without_regard_to_case(table):
    assert table.resolve("AF_Heart", None) == ("af_heart", "en-us")
    assert table.resolve("Alloy", None) == table.resolve("alloy", None)


def test_an_unknown_voice_names_near_ones(table):
    with pytest.raises(UnknownVoiceError, match="'af_hart'; did you mean 'af_heart'") as raised:
        table.resolve("af_hart", None)
    assert raised.value.param == "voice"


@pytest.mark.parametrize(
    ("asked", "language"), [("en", "en-us"), ("en_GB", "en-gb"), ("b", "en-gb"), ("zh", "cmn"), ("PT", "pt-br")]
)
def test_a_named_voice_speaks_any_language_of_the_model(table, asked, language):
    assert table.resolve("af_heart", asked) == ("af_heart", language)


def test_an_alias_becomes_a_voice_of_the_language_where_there_is_one(table):
    assert table.resolve("nova", "es") == ("ef_dora", "es")
    assert table.resolve("onyx", "es") == ("em_alex", "es")
    assert table.resolve("nova", "it") == (table.resolve("nova", None)[0], "it")


@pytest.mark.parametrize("language", ["sw", "klingon", "pt-pt"])
def test_a_language_that_the_model_lacks_is_refused(table, language):
    with pytest.raises(UnknownLanguageError, match="it has en-us"):
        table.resolve("af_heart", language)


def test_the_style_goes_by_the_number_of_tokens(table):
    assert table.style("af_heart", 1).shape == (1, STYLE_DIM)
    assert table.style("af_heart", 1).dtype == np.float32
    assert [float(table.style("af_heart", n)[0, 0]) for n in (1, 2, 510, 600)] == [0, 1, 509, 509]


@pytest.mark.parametrize(
    ("shape", "num_rows", "at_two"),
    [((510, 256), 510, 1), ((511, 1, 256), 511, 2), ((1, 256), 1, 0)],
    ids=["flat", "the older tables", "one style"],
)
def test_tables_of_other_shapes_are_read(tmp_path, shape, num_rows, at_two):
    table = VoiceTable(archive(tmp_path / "voices.npz", [], af_x=styles(0, num_rows, shape)))
    assert float(table.style("af_x", 2)[0, 0]) == at_two


def test_single_voices_are_files_of_their_own(tmp_path):
    styles(7).tofile(tmp_path / "af_raw.bin")
    np.save(tmp_path / "bm_saved.npy", styles(9))
    table = VoiceTable(tmp_path)
    assert [float(table.style(name, 1)[0, 0]) for name in ("af_raw", "bm_saved")] == [7, 9]
    assert VoiceTable(tmp_path / "af_raw.bin").resolve("af_raw", None) == ("af_raw", "en-us")
    assert VoiceTable(tmp_path / "bm_saved.npy").resolve("default", None) == ("bm_saved", "en-gb")


@pytest.mark.parametrize("name", ["warm+soft", "Ann (v2)", "ann(2)", " ann", "ann ", "", "+", "ann(", "a)b"])
def test_a_name_that_would_be_read_as_a_blend_is_refused_with_the_next_step(tmp_path, name):
    with pytest.raises(ConfigError) as caught:
        VoiceTable(archive(tmp_path / "voices.npz", ["af_heart"], **{name: styles()}))
    assert f"names a voice {name!r}, which cannot be told from a blend; rename it" in caught.value.message


def test_a_file_of_such_a_name_is_refused_by_itself_and_in_its_folder(tmp_path):
    (tmp_path / "voices").mkdir()
    path = tmp_path / "voices" / "warm+soft.bin"
    for each in (path, path.with_name("af_heart.bin")):
        styles().tofile(each)
    for wanted in (path, path.parent):
        with pytest.raises(ConfigError, match=r"names a voice 'warm\+soft', which cannot be told"):
            VoiceTable(wanted)


@pytest.mark.parametrize("name", ["ann v2", "Zoë", "a-b_c.d", "[x]", "1"])
def test_other_names_are_voices(tmp_path, name):
    table = VoiceTable(archive(tmp_path / "voices.npz", [name]))
    assert table.resolve(name.upper(), None)[0] == name
    assert table.style(name, 1).shape == (1, STYLE_DIM)


def test_digests_tell_styles_apart_and_not_the_files_that_they_lie_in(tmp_path):
    one = VoiceTable(archive(tmp_path / "one.npz", ["af_x", "af_y"])).digests()
    flat = VoiceTable(archive(tmp_path / "two.npz", [], af_x=styles(0, 510, (510, 256)), af_y=styles(0))).digests()
    assert one["af_x"] == flat["af_x"] == flat["af_y"] != one["af_y"]


@pytest.mark.parametrize(
    ("asked", "canonical"),
    [
        ("af_bella+af_heart", "af_bella+af_heart"),
        ("af_heart(1)+af_bella(1)", "af_bella+af_heart"),
        ("af_heart(3) + af_bella(1)", "af_bella(0.25)+af_heart(0.75)"),
        ("af_heart(1.5)+AF_BELLA(0.5)", "af_bella(0.25)+af_heart(0.75)"),
        ("af_heart+af_heart", "af_heart"),
        ("af_heart(5)", "af_heart"),
    ],
)
def test_a_blend_has_one_name_however_it_is_written(table, asked, canonical):
    assert table.resolve(asked, None)[0] == canonical


def test_a_blend_is_the_weighted_mean_of_its_styles(table):
    voice, _ = table.resolve("af_heart(3)+af_bella(1)", None)
    assert float(table.style(voice, 1)[0, 0]) == pytest.approx(0.75 * 0 + 0.25 * 1000)
    assert table.style(voice, 1).shape == (1, STYLE_DIM)
    assert table.style(voice, 1).dtype == np.float32


def test_a_blend_speaks_the_language_of_its_heaviest_voice(table):
    assert table.resolve("bf_emma(1)+af_heart(3)", None)[1] == "en-us"
    assert table.resolve("bf_emma(3)+af_heart(1)", None)[1] == "en-gb"


@pytest.mark.parametrize(
    "voice", ["af_heart-af_bella", "af_heart(0)+af_bella", "af_heart(-1)+af_bella", "af_heart(nan)+af_bella"]
)
def test_nothing_is_subtracted_and_weights_are_positive(table, voice):
    with pytest.raises(UnknownVoiceError):
        table.resolve(voice, None)


@pytest.mark.parametrize("voice", ["", "+", "af_heart+", "af_heart()+af_bella", "af_heart(1", "af_heart(x)+af_bella"])
def test_a_blend_that_cannot_be_read_says_how_one_is_written(table, voice):
    with pytest.raises(UnknownVoiceError, match=r"a blend is written af_bella\(2\)\+af_sky\(1\)"):
        table.resolve(voice, None)


@given(st.dictionaries(st.sampled_from(NAMES), st.floats(0.01, 1000), min_size=1))
def test_a_canonical_name_resolves_to_itself(table, weights):
    asked = "+".join(f"{name}({weight})" for name, weight in weights.items())
    voice, language = table.resolve(asked, None)
    assert table.resolve(voice, language) == (voice, language)
    assert np.isfinite(table.style(voice, 100)).all()


@given(st.text(max_size=40))
def test_any_name_is_a_voice_or_unknown(table, name):
    try:
        voice, _ = table.resolve(name, None)
    except UnknownVoiceError:
        return
    assert table.style(voice, 1).shape == (1, STYLE_DIM)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "cannot be read|no table of styles"),
        (b"<html>sign in</html>", "no table of styles"),
        (b"x" * 1023, "no table of styles"),
        (np.full((510, 256), np.nan, np.float32).tobytes(), "not finite"),
    ],
)
def test_a_file_that_holds_no_voices_is_refused_with_the_next_step(tmp_path, content, complaint):
    path = tmp_path / "voices.bin"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=f"(?s)({complaint}).*models pull kokoro"):
        VoiceTable(path)


def test_a_truncated_archive_is_refused(tmp_path):
    path = archive(tmp_path / "voices.bin")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ConfigError, match="models pull kokoro"):
        VoiceTable(path)


def test_a_damaged_archive_is_refused(tmp_path):
    path = archive(tmp_path / "voices.bin")
    data = bytearray(path.read_bytes())
    data[5000] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(ConfigError, match=r"cannot be read as voices .*CRC"):
        VoiceTable(path)


def test_an_archive_of_other_things_is_refused(tmp_path):
    for content, complaint in [
        (np.zeros((510, 1, 128), np.float32), r"shape \[510, 1, 128\]"),
        (np.zeros((510, 256), np.int64), "holds int64"),
        (np.zeros((0, 256), np.float32), "shape"),
    ]:
        with pytest.raises(ConfigError, match=complaint):
            VoiceTable(archive(tmp_path / "voices.npz", [], af_x=content))


def test_an_archive_with_pickled_objects_is_refused(tmp_path):
    buffer = io.BytesIO()
    np.savez(buffer, af_x=np.array([{"a": 1}], dtype=object))
    (tmp_path / "voices.bin").write_bytes(buffer.getvalue())
    with pytest.raises(ConfigError, match="cannot be read as voices"):
        VoiceTable(tmp_path / "voices.bin")


def test_a_file_or_folder_that_is_not_there_or_empty_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="models pull kokoro"):
        VoiceTable(tmp_path / "nothing.bin")
    with pytest.raises(ConfigError, match="holds no voice"):
        VoiceTable(tmp_path)
