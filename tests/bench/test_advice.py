from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from firstaudio.bench.advice import Advice, advise, as_finding
from firstaudio.bench.result import CellResult, Distribution, Estimate
from firstaudio.bench.workload import Goals


def spread(p50: float | None, p95: float | None = None) -> Distribution:
    quantiles = {"p50": Estimate(p50), "p95": Estimate(p95, needs=None if p95 is not None else 72)}
    return Distribution(100, 0, p50, p50, p50, quantiles)


def cell(concurrency: int = 1, **changes: Any) -> CellResult:
    """One that nothing can be said against."""
    given: dict[str, Any] = {
        "name": f"c={concurrency}",
        "axes": {"concurrency": concurrency},
        "label": "warm",
        "cell": {},
        "window_s": 1.0,
        "issued": 100,
        "ok": 100,
        "failed": 0,
        "cancelled": 0,
        "failures": {},
        "distributions": {"ttfa_ms": spread(100.0), "preroll_ms": spread(0.0, 0.0), "rtf": spread(0.2)},
        "totals": {"asps": 10.0 * concurrency, "target_attainment": 100.0},
    }
    return CellResult(**{**given, **changes})


def advices(*cells: CellResult, findings: Mapping[str, Any] | None = None, buffer_ms: float = 0.0) -> list[Advice]:
    return advise(cells, findings or {}, Goals(ttfa_ms=800.0, buffer_ms=buffer_ms))


def with_figures(concurrency: int = 1, **distributions: Distribution) -> CellResult:
    return cell(concurrency, distributions={**cell().distributions, **distributions})


def test_nothing_is_said_of_a_good_server():
    assert advices(cell(1), cell(2), cell(4)) == []


@pytest.mark.parametrize(("failed", "critical"), [(1, False), (2, True)])
def test_failures_come_first(failed: int, critical: bool):
    (advice,) = advices(cell(ok=100 - failed, failed=failed, failures={"timeout": failed}))

    assert advice.evidence == f"{failed} of 100 requests failed ({failed} timeout)"
    assert advice.critical is critical


@pytest.mark.parametrize(("attained", "critical"), [(94.0, False), (49.0, True)])
def test_a_slow_start_is_told_with_the_stage_that_takes_longest(attained: float, critical: bool):
    totals = {"asps": 10.0, "target_attainment": attained}
    (advice,) = advices(cell(totals=totals, stages_ms={"text": 2.0, "engine": 90.0}))

    assert advice.evidence == (
        f"{attained:.1f} % within 800 ms, median 100 ms; the server spends most in engine (90 ms)"
    )
    assert advice.critical is critical


def test_a_slow_start_is_told_against_the_target_of_its_cell():
    totals = {"asps": 10.0, "target_attainment": 90.0}
    (advice,) = advices(cell(totals=totals, cell={"ttfa_target_ms": 400.0}))

    assert advice.evidence.startswith("90.0 % within 400 ms")
    assert advice.gain == "TTFA within 400 ms"


def test_a_target_that_is_met_is_not_spoken_of():
    assert advices(cell(totals={"asps": 10.0, "target_attainment": 95.0})) == []
    assert advices(cell(totals={"asps": 10.0, "target_attainment": None})) == []


def test_players_are_told_the_buffer_that_most_need():
    (advice,) = advices(with_figures(preroll_ms=spread(20.0, 80.0)), buffer_ms=50.0)

    assert advice.action == "let players of c=1 buffer 80 ms first, or lower the load"
    assert advice.evidence == "95 % of the answers play without a stall only after 80 ms of buffer"
    assert advices(with_figures(preroll_ms=spread(20.0, 50.0)), buffer_ms=50.0) == []


def test_few_samples_tell_of_half_of_the_answers_only():
    (advice,) = advices(with_figures(preroll_ms=spread(20.0)))

    assert advice.evidence == "half of the answers play without a stall only after 20 ms of buffer"
    assert advice.gain == "no stalls for every second listener"


def test_synthesis_slower_than_speech_is_critical():
    (advice,) = advices(with_figures(rtf=spread(1.25)))

    assert (advice.evidence, advice.critical) == ("RTF 1.25 (median)", True)
    assert advices(with_figures(rtf=spread(1.0))) == []


def crowded(concurrency: int, asps: float, ttfa_ms: float, **changes: Any) -> CellResult:
    distributions = {**cell().distributions, "ttfa_ms": spread(ttfa_ms)}
    totals = {"asps": asps, "target_attainment": 100.0}
    return cell(concurrency, totals=totals, distributions=distributions, **changes)


def test_the_knee_is_where_more_listeners_only_wait_longer():
    (advice,) = advices(
        crowded(4, 40.5, 300.0), crowded(1, 20.0, 50.0), crowded(2, 39.0, 60.0), crowded(8, 41.0, 700.0)
    )

    assert advice.action == "admit about 2 requests at once and let the others wait or be refused"
    assert advice.evidence.startswith("ASPS 39.0 at 2, 40.5 at 4")


def test_a_level_that_was_measured_again_is_no_knee():
    again = crowded(2, 40.0, 90.0, name="#3 c=2")

    assert advices(crowded(1, 20.0, 50.0), crowded(2, 40.0, 60.0), again) == []


def test_levels_of_different_conditions_are_not_compared():
    voices = [crowded(level, 20.0, 100.0 * level, axes={"concurrency": level, "voice": "a"}) for level in (1, 2)]

    assert advices(*voices) == []


def test_a_server_that_synthesises_whole_is_told_so():
    fit = {"verdict": "whole", "sentence": "whole: it grows", "b_ms_per_char": 2.5}
    (advice,) = advices(findings={"fit": fit})

    assert (advice.evidence, advice.gain) == ("whole: it grows", "about 250 ms of TTFA for every 100 characters")
    assert advices(findings={"fit": {**fit, "verdict": "streams"}}) == []


@pytest.mark.parametrize(
    ("requests", "low", "told"), [(1000, 1.5, True), (999, 1.5, False), (1000, 1.0, False), (1000, None, False)]
)
def test_a_leak_is_told_when_it_is_certain(requests: int, low: float | None, told: bool):
    leak = {"requests": requests, "low": low, "slope_mb_per_1000": 2.0}

    assert [advice.evidence for advice in advices(findings={"leak": leak})] == (
        ["2.0 MB more for every 1000 requests"] if told else []
    )


def test_a_cell_without_success_has_no_figures_to_speak_of():
    nothing = dict.fromkeys(("ttfa_ms", "preroll_ms", "rtf"), spread(None))
    silent = cell(ok=0, failed=100, failures={"refused": 100}, distributions=nothing, totals={"asps": None})

    assert [advice.critical for advice in advices(silent, cell(2))] == [True]


def test_critical_advice_comes_first_and_is_json():
    found = advices(with_figures(1, preroll_ms=spread(20.0, 80.0)), with_figures(2, rtf=spread(2.0)))

    assert [each["critical"] for each in as_finding(found)] == [True, False]
    assert set(as_finding(found)[0]) == {"action", "evidence", "gain", "critical"}


def test_a_target_that_refuses_has_too_many_clients():
    totals = {"asps": 10.0, "target_attainment": 60.0}
    (advice,) = advices(cell(4, ok=60, failed=40, failures={"refused": 40}, totals=totals))

    assert advice.action == "offer c=4 fewer clients at once, or more servers: the target has no room and refuses"
    assert advice.evidence == "40 of 100 requests failed (40 refused)"


def test_a_target_that_refuses_and_is_late_is_not_told_to_cut_its_segments():
    totals = {"asps": 10.0, "target_attainment": 30.0}
    actions = [a.action for a in advices(cell(4, ok=60, failed=40, failures={"refused": 40}, totals=totals))]

    assert actions[1] == "start sooner in c=4: fewer clients, or more servers"


def test_whole_answers_start_sooner_when_they_are_streamed():
    totals = {"asps": 10.0, "target_attainment": 60.0}
    (advice,) = advices(cell(totals=totals, cell={"target": {"delivery": "whole"}}))

    assert advice.action == "start sooner in c=1: stream the answers, which it was not asked to do"
