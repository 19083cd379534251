"""Alerts are raised once, last while it is bad, and are over after a while of good."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstaudio.telemetry.alerts.book import CLEAR_AFTER_S, MAX_HISTORY, STALE_AFTER_S, Alert, AlertBook
from firstaudio.telemetry.alerts.rules import Finding


def finding(verdict, name: str = "rule") -> Finding:
    return Finding(name, verdict, f"it is {verdict}", {"n": 20})


def updates(book: AlertBook, *steps: tuple[float, str]) -> list[tuple[str, str]]:
    """(name, reason it is over) of all that changed, over findings at times."""
    changed = [alert for at_s, verdict in steps for alert in book.update([finding(verdict)], at_s, 1000 + at_s)]
    return [(alert.name, alert.cleared_because) for alert in changed]


def test_it_is_raised_once_and_kept_up_to_date():
    book = AlertBook()
    (raised,) = book.update([finding("bad")], 0.0, 1000.0)
    assert raised == Alert("rule", "it is bad", {"n": 20}, raised_at=1000.0)
    assert book.update([replace(finding("bad"), message="worse")], 5.0, 1005.0) == []
    assert book.active == [replace(raised, message="worse")]


@pytest.mark.parametrize("verdict", ["good", "unclear"])
def test_nothing_is_raised_by_what_is_not_bad(verdict: str):
    assert updates(AlertBook(), (0.0, verdict), (100.0, verdict)) == []


def test_it_is_over_after_a_while_of_good():
    book = AlertBook()
    changes = updates(book, (0.0, "bad"), (5.0, "good"), (5.0 + CLEAR_AFTER_S - 1, "good"))
    assert changes == [("rule", "")]
    assert updates(book, (5.0 + CLEAR_AFTER_S, "good")) == [("rule", "good for 60 s")]
    assert (book.active, [alert.cleared_at for alert in book.past]) == ([], [1065.0])


def test_one_bad_finding_begins_the_while_anew():
    book = AlertBook()
    updates(book, (0.0, "bad"), (5.0, "good"), (50.0, "bad"), (55.0, "good"))
    assert updates(book, (55.0 + CLEAR_AFTER_S - 1, "good")) == []
    assert updates(book, (55.0 + CLEAR_AFTER_S, "good")) == [("rule", "good for 60 s")]


def test_while_nobody_can_tell_it_lasts_but_not_for_ever():
    book = AlertBook()
    assert updates(book, (0.0, "bad"), (STALE_AFTER_S - 1, "unclear")) == [("rule", "")]
    assert [reason for _, reason in updates(book, (STALE_AFTER_S, "unclear"))] == [
        "nothing bad was seen for 3600 s, and nothing good"
    ]


def test_what_is_no_longer_looked_at_is_over_in_the_end():
    book = AlertBook()
    book.update([finding("bad", "engine:gone")], 0.0, 0.0)
    assert book.update([], 5.0, 5.0) == []
    assert [alert.name for alert in book.update([], STALE_AFTER_S, 0.0)] == ["engine:gone"]


def test_rules_do_not_mix():
    book = AlertBook()
    book.update([finding("bad", "one"), finding("good", "two")], 0.0, 0.0)
    book.update([finding("good", "one"), finding("bad", "two")], 5.0, 5.0)
    assert [alert.name for alert in book.active] == ["one", "two"]


def test_the_history_is_bounded_and_begins_with_the_newest():
    book = AlertBook()
    for i in range(MAX_HISTORY + 5):
        updates(book, (i * 1000.0, "bad"), (i * 1000.0 + 1, "good"), (i * 1000.0 + 1 + CLEAR_AFTER_S, "good"))
    assert len(book.past) == MAX_HISTORY
    assert book.past[0].raised_at > book.past[-1].raised_at


@given(st.lists(st.sampled_from(["bad", "good", "unclear"]), max_size=80), st.floats(1, 100))
def test_each_alert_is_raised_then_cleared_in_turn(verdicts: list[str], every_s: float):
    book = AlertBook()
    changes = updates(book, *((i * every_s, verdict) for i, verdict in enumerate(verdicts)))
    assert [bool(reason) for _, reason in changes] == [i % 2 == 1 for i in range(len(changes))]
    assert len(book.active) == len(changes) % 2
    if verdicts and verdicts[-1] == "bad":
        assert book.active
