"""Other systems' names for the fields of a request."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from firstaudio.server.foreign_fields import FOREIGN_FIELDS, advice_for
from firstaudio.server.schemas.speech import SpeechRequest

PAGE = Path(__file__).parents[2] / "docs" / "coming-from-kokoro-fastapi.md"
FIELDS = SpeechRequest.model_fields


@pytest.mark.parametrize(("name", "advice"), FOREIGN_FIELDS.items())
def test_a_foreign_name_is_none_of_ours_and_leads_to_one_of_ours_or_to_none(name: str, advice: str):
    wanted = re.match(r"use (\w+)", advice)

    assert name not in FIELDS
    assert advice.startswith("leave it out") if wanted is None else wanted[1] in FIELDS


def test_what_resembles_nothing_is_to_be_left_out():
    assert advice_for("x" * 1000, FIELDS) == "leave it out"


def test_the_page_and_the_answers_of_the_server_say_the_same():
    rows = re.findall(r"^\| `(\w+)` \| (?:`(\w+)`)?", PAGE.read_text(), re.MULTILINE)

    assert len(rows) > 5
    for name, ours in rows:
        if name not in FIELDS:
            assert (f"use {ours}" if ours else "leave it out") in FOREIGN_FIELDS[name]
