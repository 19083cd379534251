"""`firstaudio voices`: data on stdout."""

from __future__ import annotations

import json

import pytest

from firstaudio.cli.voices import speaks
from firstaudio.engines.base import Voice


def test_voices_are_data(run, quick):
    result = run("voices", "--json")

    listed = json.loads(result.stdout)
    assert (result.exit_code, result.stderr) == (0, "")
    assert {
        "id": "af_heart",
        "name": "af_heart",
        "language": "en-us",
        "gender": "neutral",
        "engine": "synthetic",
        "alias_of": None,
    } in listed


def test_a_pipe_gets_one_line_per_voice(run, quick):
    lines = run("voices").stdout.decode().splitlines()

    assert lines[0].split("\t") == ["default", "default", "en-us", "neutral", "synthetic", ""]


def test_one_engine_can_be_asked_for(run):
    lines = run("voices", "--engine", "synthetic").stdout.decode().splitlines()

    assert {"synthetic"} == {line.split("\t")[4] for line in lines}


def test_a_language_that_nobody_speaks_is_said_so(run, quick):
    result = run("voices", "--lang", "tlh")

    assert (result.exit_code, result.stdout) == (0, b"")
    assert "no voice speaks 'tlh'" in result.stderr


@pytest.mark.parametrize(
    ("language", "asked", "expected"),
    [
        ("en-us", None, True),
        ("en-us", "en", True),
        ("en-us", "EN_US", True),
        ("en", "en-us", False),
        ("eno", "en", False),
    ],
)
def test_a_language_takes_its_kinds(language: str, asked: str | None, expected: bool):
    assert expected is speaks(Voice("v", "V", language), asked)


def test_the_voices_are_listed_to_whoever_looks_for_a_default_one(run, quick, monkeypatch):
    monkeypatch.setenv("FIRSTAUDIO_ENGINE_DEFAULT_VOICE", "nobody")
    result = run("voices")

    assert result.exit_code == 0
    assert b"alloy\t" in result.stdout
