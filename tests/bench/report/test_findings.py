from __future__ import annotations

import pytest

from firstaudio.bench.report.findings import all_reasons, all_warnings, blocks, chunks
from firstaudio.bench.result import Check, Distribution, Estimate


def small(n):
    return (Check("samples", False, f"{n} requests give minimum and maximum: send 36 or more for p90", voids=False),)


def the_block(session, title):
    return next(block for block in blocks(session) if block.title == title)


def test_a_warning_that_several_cells_share_is_one_line(make_session, make_cell):
    cells = [make_cell(level, checks=small(max(12, level * 4))) for level in (1, 2, 4)] + [make_cell(8)]
    assert all_warnings(make_session(cells)) == [
        "12 to 16 requests give minimum and maximum: send 36 or more for p90: c=1, c=2, c=4"
    ]


def test_a_warning_about_every_cell_names_none(make_session, make_cell):
    cells = [make_cell(level, checks=small(12)) for level in (1, 2)]
    assert all_warnings(make_session(cells)) == [
        "12 requests give minimum and maximum: send 36 or more for p90: both cells"
    ]


def test_a_warning_about_one_cell_or_none_stays_as_it_is(make_session, make_cell):
    session = make_session(
        [make_cell(1, checks=small(12)), make_cell(2)], warnings=["the clock jumped", "c=2: it shook"]
    )
    assert all_warnings(session) == [
        "the clock jumped",
        "c=2: it shook",
        "c=1: 12 requests give minimum and maximum: send 36 or more for p90",
    ]


def test_a_cell_is_known_by_its_whole_name(make_session, make_cell):
    cells = [make_cell(1, name=name) for name in ("alto", "alto: low", "bass")]
    session = make_session(cells, warnings=["alto: it shook", "alto: low: it shook"])
    assert all_warnings(session) == ["it shook: alto, alto: low"]


def test_reasons_are_grouped_too(make_session, make_cell):
    cells = [make_cell(n, checks=(Check("floor", False, f"the floor is {n}.5 ms: too much"),)) for n in (1, 4)]
    session = make_session([*cells, make_cell(8)])
    assert all_reasons(session) == ["the floor is 1.5 to 4.5 ms: too much: c=1, c=4"]


def test_a_reason_is_not_said_again_as_a_critical_issue(make_session, voided_cell):
    session = make_session([voided_cell], findings={"recommendations": []})
    assert the_block(session, "Recommendations").closing == (
        "Critical Issues: the session is INVALID, for the reasons above",
    )


def test_a_category_stands_beside_its_median_and_limits(make_session, make_cell):
    said = {"category": "good", "median_ms": 450.2, "limits": "400 to 800 ms"}
    session = make_session([make_cell()], findings={"categories": {"c=1": said, "c=2": "poor"}})
    assert the_block(session, "TTFA by category").rows == (
        ("c=1", "450.2 ms", "good", "400 to 800 ms"),
        ("c=2", "n/a", "poor", ""),
    )


def test_a_first_request_that_never_was_is_not_shown(make_session):
    assert blocks(make_session([], findings={"first_request": {}})) == []


def test_a_target_that_does_not_answer_is_told_as_the_reason_alone(make_session):
    session = make_session([], findings={"preflight": {"kind": "unreachable", "message": "nothing listens there"}})
    assert all_reasons(session) == ["nothing could be measured: nothing listens there"]
    assert blocks(session) == []


@pytest.mark.parametrize(("connect_ms", "shown"), [(None, False), (0.3, True)])
def test_connecting_is_left_out_where_nothing_connects(make_session, make_cell, connect_ms, shown):
    first = {"connect_ms": connect_ms, "ttfa_ms": 20.0, "latency_ms": 70.0, "container": "wav", "sample_rate": 24000}
    session = make_session([make_cell()], findings={"first_request": {"mine": first}})
    block = the_block(session, "First request (in no other figure)")
    assert ("connecting" in block.header) is shown
    assert {len(block.header)} == {len(row) for row in block.rows}


def test_the_line_of_ttfa_is_said_once(make_session, make_cell):
    fit = {"a_ms": 20.0, "b_ms_per_char": 0.1, "sentence": "streams: TTFA is 20.0 ms + 100.0 ms per 1000 characters"}
    session = make_session([make_cell()], findings={"fit": fit})
    assert the_block(session, "TTFA against text length").sentences == (fit["sentence"],)
    del fit["sentence"]
    assert the_block(session, "TTFA against text length").sentences == (
        "TTFA = 20.0 ms + 100.0 ms per 1000 characters.",
    )


def gate(metric, verdict, **changes):
    return {"metric": metric, "verdict": verdict, "ratio": 0.9, "low": 0.8, "high": 0.95, "p": 0.01, **changes}


def test_an_ab_names_the_gates_that_decide_and_the_floors_that_count(make_session, make_cell):
    gates = [gate("ttfa_ms", "faster", median_a=40.0, median_b=36.0), gate("rtf", "equivalent")]
    gates.append({"metric": "success_rate", "verdict": "inconclusive", "p": 0.5})
    finding = {"a": "old", "b": "new", "verdict": "faster", "sentence": "new is faster.", "metrics": gates}
    cells = [make_cell(name=side, totals={"success_rate": rate}) for side, rate in (("A", 100.0), ("B", 98.5))]
    block = the_block(make_session(cells, findings={"ab": finding}), "new against old")
    assert block.sentences == ("new is faster.", "Decided by: TTFA (faster).")
    assert block.rows == (
        ("TTFA", "40.0 ms", "36.0 ms", "-10.0 %", "-20.0 % to -5.0 %", "0.0100", "5 % and 5 ms", "faster"),
        ("RTF", "n/a", "n/a", "-10.0 %", "-20.0 % to -5.0 %", "0.0100", "5 % and 0.005", "equivalent"),
        ("Success", "100.0 %", "98.5 %", "n/a", "n/a", "0.500", "", "inconclusive"),
    )


def refused(path, message):
    return {"works": False, "method": "POST", "path": path, "message": message, "outcome": "not_found"}


def test_a_server_without_speech_is_told_in_one_line_and_each_reason_once(make_session):
    endpoints = [refused("/a", "404: not found"), refused("/b", "404: not found"), refused("/c", "")]
    finding = {"url": "http://here", "server": "nginx", "endpoints": endpoints}
    block = the_block(make_session([], findings={"discovery": finding}), "Found")
    assert block.sentences == ("No text-to-speech endpoint was found at http://here.",)
    assert block.rows == ()
    assert block.closing == ("- 404: not found: POST /a, POST /b", "- not_found: POST /c")


def always(value):
    return Distribution(20, 0, value, value, value, dict.fromkeys(("p50", "p90", "p95", "p99"), Estimate(value)))


def test_a_streaming_session_tells_how_audio_came_in(make_session, make_cell):
    times = {"chunk_interval_p50_ms": 2.0, "chunk_interval_p95_ms": 3.0, "chunk_audio_ms": 100.0}
    cell = make_cell(distributions={name: always(value) for name, value in times.items()})
    (block,) = chunks(make_session([cell], mode="streaming"))
    assert block.rows == (("c=1", "2.00 ms", "3.00 ms", "100.0 ms"),)
    assert chunks(make_session([cell], mode="server")) == []
