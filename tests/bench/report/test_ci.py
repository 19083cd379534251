from __future__ import annotations

import io
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from firstaudio.bench.compare.gates import GateResult
from firstaudio.bench.compare.sessions import CellComparison, Comparison, Difference
from firstaudio.bench.report.ci import _annotation, _Case, _xml, github, junit, session_github, session_junit
from firstaudio.bench.report.console import print_comparison

SLOWER = Difference("ttfa_ms.p95", 50.0, 60.0, 0.2, "suspect", True, "ttfa_ms.p95 50 to 60 (+20.0%); suspect")
SAME = Difference("asps", 90.0, None, None, "not judged", None, "asps 90 to n/a; not judged")


def compared(**changes):
    given = {
        "a": "old",
        "b": "new",
        "comparable": True,
        "reasons": (),
        "cells": (CellComparison("c=1", "warm", (SLOWER, SAME)),),
        "unmatched": ("c=8 is only in new",),
        "gates": (
            GateResult("ttfa_ms.p95>5%", "c=1", False, "c=1: ttfa_ms.p95 went from 50 to 60 (+20.0 %)"),
            GateResult("success_rate<99", "c=1", True, "c=1: success_rate is 100 %"),
            GateResult("asps<-10%", "", None, "asps<-10% cannot be judged: not there"),
        ),
        "sentence": "new against old: 1 suspect difference.",
    }
    return Comparison(**{**given, **changes})


def cases(xml):
    root = ElementTree.fromstring(xml)
    shown = {}
    for case in root.iter("testcase"):
        kinds = {child.tag for child in case}
        shown[case.get("name")] = next((kind for kind in ("failure", "skipped") if kind in kinds), "passed")
    return root.attrib, shown


def test_gates_that_fail_or_cannot_be_judged_are_failures_and_suspects_are_not():
    counts, shown = cases(junit(compared()))
    assert shown == {
        "c=1": "passed",
        "ttfa_ms.p95>5% at c=1": "failure",
        "success_rate<99 at c=1": "passed",
        "asps<-10%": "failure",
        "c=8 is only in new": "skipped",
    }
    assert counts == {"tests": "5", "failures": "2", "skipped": "1", "errors": "0"}


def test_cells_of_sessions_that_cannot_be_compared_are_skipped_with_the_reason():
    xml = junit(compared(comparable=False, reasons=("the workloads differ",), gates=(), unmatched=()))
    assert cases(xml)[1] == {"c=1": "skipped"}
    assert 'message="the workloads differ"' in xml


def test_annotations_tell_errors_warnings_and_the_verdict():
    assert github(compared()).splitlines() == [
        "::error title=ttfa_ms.p95>5%25::c=1: ttfa_ms.p95 went from 50 to 60 (+20.0 %25)",
        "::error title=asps<-10%25::asps<-10%25 cannot be judged: not there",
        "::warning title=c=1 ttfa_ms.p95::ttfa_ms.p95 50 to 60 (+20.0%25); suspect",
        "::warning title=not compared::c=8 is only in new",
        "::notice title=new against old::new against old: 1 suspect difference.",
    ]


def test_an_annotation_is_one_line_whatever_it_says():
    assert _annotation("error", "a:b,c%\n", "x\r\n::error::y") == "::error title=a%3Ab%2Cc%25%0A::x%0D%0A::error::y"


@given(st.text(), st.text())
def test_any_text_makes_well_formed_xml(name, message):
    ElementTree.fromstring(_xml(name, [_Case("cells", name, (message,), message, message)]))


def test_a_session_fails_by_its_verdict_and_its_failures(demo, make_session, voided_cell):
    _, shown = cases(session_junit(demo))
    assert [name for name, outcome in shown.items() if outcome == "failure"] == ["c=32"]
    assert cases(session_junit(make_session([voided_cell])))[1] == {"valid": "failure", "c=64": "failure"}
    assert session_github(demo) == "::error title=c=32::72 of 72 requests failed\n"


def test_a_good_session_passes(make_session, make_cell):
    session = make_session([make_cell()])
    assert cases(session_junit(session))[0]["failures"] == "0"
    assert session_github(session) == "::notice title=demo::VALID\n"


@pytest.mark.parametrize("width", [80, 200])
def test_a_comparison_is_printed_with_its_gates(width):
    out = io.StringIO()
    print_comparison(compared(), Console(file=out, width=width))
    lines = out.getvalue().splitlines()
    assert lines[0] == "new against old: 1 suspect difference."
    assert lines[3].split() == ["c=1", "ttfa_ms.p95", "50.0", "60.0", "+20.0", "%", "suspect", "(worse)"]
    assert lines[4].split() == ["c=1", "asps", "90.0", "n/a", "n/a", "not", "judged"]
    assert lines[5] == "Not compared: c=8 is only in new"
    assert [line.partition(":")[0] for line in lines[6:]] == ["FAILED", "passed", "not judged"]
