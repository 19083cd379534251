"""How often something happens by itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstaudio.config import load
from firstaudio.config.every import MAX_S, MIN_S, WORDS, parse_every
from firstaudio.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "meant"), [("off", None), ("900", 900.0), ("3600.5", 3600.5)] + [(w, w) for w in WORDS]
)
def test_a_word_or_seconds(text: str, meant: str | float | None):
    assert meant == parse_every("schedule.every", text)


@pytest.mark.parametrize("text", ["", "fortnightly", "Daily", "59", "-3600", "nan", "inf", "1e99", "1 h"])
def test_anything_else_is_told_with_what_is_possible(text: str):
    with pytest.raises(ConfigError, match=r"schedule\.every must be off, hourly, daily, weekly, monthly, or a number"):
        parse_every("schedule.every", text)


@given(st.floats(MIN_S, MAX_S))
def test_every_number_of_seconds_within_the_limits_is_one(seconds: float):
    assert seconds == parse_every("schedule.every", repr(seconds))


@pytest.mark.parametrize(
    ("name", "value"),
    [("EVERY", "now and then"), ("WEBHOOK_URL", "ftp://somewhere"), ("KEEP", "0"), ("BENCHMARK", "all")],
)
def test_a_bad_schedule_is_refused_when_it_is_loaded(name: str, value: str):
    with pytest.raises(ConfigError, match=rf"schedule\.{name.lower()}"):
        load(environ={f"FIRSTAUDIO_SCHEDULE_{name}": value})


def test_the_key_of_the_harness_is_no_setting():
    assert load(environ={"FIRSTAUDIO_BENCH_TOKEN": "x"}) == load(environ={})
