"""Progress for a program that watches."""

from __future__ import annotations

import json
from typing import Any

import pytest

from firstaudio.bench.reference import ReferenceServer
from firstaudio.cli.bench.lines import EVERY_S, JsonLines
from firstaudio.clock import NS_PER_S

from .conftest import Bench

FEW = ("--iterations", "4", "--warmup", "0", "--no-floor", "--no-reports")


class Told:
    """Lines, and a clock that is moved by hand."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.documents: list[dict[str, Any]] = []
        self.lines = JsonLines(lambda line: self.documents.append(json.loads(line)), lambda: self.now_ns)

    @property
    def shares(self) -> list[float | None]:
        return [document["progress"]["share"] for document in self.documents]


@pytest.fixture
def told() -> Told:
    return Told()


def test_the_share_is_of_all_requests_that_are_planned(told: Told):
    told.lines.plan({"a": 10, "b": 30})
    told.lines.begin("a", 10)
    told.lines.end()
    told.lines.begin("b", 30)
    for _ in range(15):
        told.lines.advance(ok=True)
    told.now_ns += round(EVERY_S * NS_PER_S)
    told.lines.advance(ok=False)
    told.lines.end()

    assert told.shares == [0.0, 0.25, 0.25, (10 + 16) / 40, 1.0]
    assert told.documents[3]["progress"] == {
        "cell": "b", "done": 16, "total": 30, "failed": 1, "cells_done": 1, "cells": 2, "share": 0.65
    }  # fmt: skip


def test_requests_within_the_same_half_second_share_a_line(told: Told):
    told.lines.begin("a", 1000)
    for _ in range(1000):
        told.lines.advance(ok=True)

    assert len(told.documents) == 1


@pytest.mark.parametrize("plan", [{}, {"a": None, "b": 3}, {"a": 0}])
def test_where_nobody_knows_how_much_is_to_come_there_is_no_share(told: Told, plan: dict[str, int | None]):
    told.lines.plan(plan)
    told.lines.begin("a", None)
    told.lines.advance(ok=True)
    told.lines.end()

    assert set(told.shares) == {None}


def test_a_cell_that_runs_again_never_makes_more_than_all(told: Told):
    told.lines.plan({"a": 2})
    for _ in range(3):
        told.lines.begin("a", 2)
        told.lines.end()

    assert told.shares[-1] == 1.0


def test_a_note_is_one_line_whatever_it_holds(told: Told):
    told.lines.note("two\nlines")

    assert told.documents == [{"note": "two\nlines"}]


def test_a_run_tells_its_progress_as_json(bench: Bench, server: ReferenceServer):
    benched = bench("streaming", "--url", server.url, *FEW, "--progress", "json")
    told = [json.loads(line)["progress"] for line in benched.stderr.splitlines() if line.startswith('{"progress"')]

    assert [line["share"] for line in told] == sorted(line["share"] for line in told)
    assert (told[0]["share"], told[-1]["share"]) == (0.0, 1.0)
    assert told[-1]["cells_done"] == told[-1]["cells"] == 3


def test_another_way_to_show_it_is_an_error_in_the_command_line(bench: Bench, server: ReferenceServer):
    benched = bench("ttfa", "--url", server.url, "--progress", "xml")

    assert benched.exit_code == 2
    assert "--progress xml is not known; use one of auto, json" in benched.stderr


def test_voice_and_speed_tests_can_be_left_out(bench: Bench, server: ReferenceServer):
    flags = ("--voices", "alto", "tenor", "--no-voice-tests", "--no-speed-tests")
    benched = bench("ttfa", "--url", server.url, *flags, *FEW)

    assert {cell.name.partition("=")[0] for cell in benched.session.cells} == {"text"}


def test_own_texts_have_a_cell_of_their_own(bench: Bench, server: ReferenceServer):
    benched = bench("ttfa", "--url", server.url, "--text", "One of mine.", "--no-speed-tests", *FEW)
    labels = {cell.name: cell.label for cell in benched.session.cells}

    assert labels == {"text=custom": "cached"} | {
        f"text={name}": "warm" for name in ("short", "medium", "long", "complex")
    }
