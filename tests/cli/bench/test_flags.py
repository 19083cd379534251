from __future__ import annotations

import pytest

from firstaudio.cli.bench.flags import spread
from firstaudio.errors import ConfigError


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        ("server --voices a b c", "server --voices a --voices b --voices c"),
        ("server --voices=a,b --json", "server --voices a --voices b --json"),
        ("server --concurrency 1 2 --url http://x", "server --concurrency 1 --concurrency 2 --url http://x"),
        ("server --concurrency 1 --concurrency 2", "server --concurrency 1 --concurrency 2"),
        ("ab http://x http://y --concurrency 4", "ab http://x http://y --concurrency 4"),
        ("server --url http://x --no-floor", "server --url http://x --no-floor"),
    ],
)
def test_lists_may_be_written_in_one_go(typed: str, wanted: str):
    assert wanted.split() == spread(typed.split())


@pytest.mark.parametrize(
    "typed", ["--voices", "--voices --json", "--json --concurrency", "--voices= --json", "--voices ,"]
)
def test_a_list_without_a_value_is_refused(typed: str):
    with pytest.raises(ConfigError, match=r"no value follows --(voices|concurrency); give one or more"):
        spread(["server", *typed.split()])


def test_a_text_of_ones_own_may_hold_commas():
    assert spread(["server", "--text", "Yes, indeed."]) == ["server", "--text", "Yes, indeed."]
