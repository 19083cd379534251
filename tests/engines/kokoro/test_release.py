"""What can be pulled, as data."""

from __future__ import annotations

import re

import pytest

from firstaudio.engines.kokoro.release import KOKORO, RELEASES, VARIANTS, file_url, release_named
from firstaudio.errors import ConfigError


def test_each_variant_has_one_model_and_the_voices():
    for variant in VARIANTS:
        assert [file.role for file in KOKORO.wanted(variant)] == ["model", "voices"]


def test_the_preferred_variant_is_first():
    assert KOKORO.variants == VARIANTS


def test_sums_and_sizes_are_stated_for_every_file():
    for release in RELEASES.values():
        for file in release.files:
            assert re.fullmatch("[0-9a-f]{64}", file.sha256)
            assert file.num_bytes > 0


def test_a_variant_that_is_not_there_is_refused_with_those_that_are():
    with pytest.raises(ConfigError, match=r"no variant 'fp16'.*f32, int8"):
        KOKORO.wanted("fp16")


@pytest.mark.parametrize(("name", "hint"), [("kokoru", "did you mean 'kokoro'"), ("piper", "there are: kokoro")])
def test_a_name_that_is_not_there_is_refused_with_a_hint(name: str, hint: str):
    with pytest.raises(ConfigError, match=hint):
        release_named(name)


@pytest.mark.parametrize(
    "mirror", ["http://host/a", "https://host/a/", "file:///a", "file://localhost/a", "HTTP://h/a"]
)
def test_a_mirror_takes_the_place_of_the_release(mirror: str):
    assert f"{mirror.rstrip('/')}/kokoro-v1.0.onnx" == file_url(KOKORO, KOKORO.files[0], mirror)


@pytest.mark.parametrize(
    ("mirror", "hint"),
    [
        ("/srv/models", "is file:///srv/models"),
        ("ftp://host/a", "must begin with"),
        ("file://host/a", "file:///"),
        ("http://[::1", "model.url is no address"),
        ("https://host:99999", "model.url is no address"),
    ],
)
def test_another_address_is_refused_with_what_is_meant(mirror: str, hint: str):
    with pytest.raises(ConfigError, match=re.escape(hint)):
        file_url(KOKORO, KOKORO.files[0], mirror)
