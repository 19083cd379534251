from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from firstaudio.bench.figures.parts import Part, merged_checks, merged_client, merged_server
from firstaudio.bench.result import Check, ClientSide

CLIENT = ClientSide(0.1, 1.0, None, None, 1.0, 0.02, 1)


@pytest.fixture
def part(record: Any) -> Any:
    """One answer that took so long."""

    def make(seconds: float, client: ClientSide = CLIENT, **more: Any) -> Part:
        row = record(chunks=((50, 100), (1000 * seconds, 100)))
        return Part([row], client, more.pop("server", None), **more)

    return make


def test_the_client_is_as_bad_as_in_its_worst_part(part: Any):
    merged = merged_client([part(1), part(1, replace(CLIENT, cpu_share=0.9, others_cpu_share=None))])

    assert (merged.cpu_share, merged.loop_lag_p99_ms, merged.others_cpu_share) == (0.9, 1.0, 0.02)


def test_requests_in_flight_are_averaged_over_time(part: Any):
    merged = merged_client([part(3), part(1, replace(CLIENT, mean_in_flight=5.0))])

    assert pytest.approx(merged.mean_in_flight) == 2.0


def test_the_server_is_charged_for_all_parts(part: Any):
    first = {"cpu_s": 1.0, "rss_peak_mb": 10.0, "uss_peak_mb": None}
    second = {"cpu_s": 2.0, "rss_peak_mb": 30.0, "uss_peak_mb": 5.0}
    merged = merged_server([part(1, server=first), part(1, server=second), part(1)])

    assert merged is not None
    assert (merged["cpu_s"], merged["rss_peak_mb"], merged["uss_peak_mb"]) == (3.0, 30.0, 5.0)
    assert merged["cpu_s_per_audio_s"] == pytest.approx(3.0 / 0.4)
    assert merged_server([part(1)]) is None


def test_a_check_that_failed_once_has_failed(part: Any):
    fine, bad = Check("throttling", True, "no"), Check("throttling", False, "yes")

    assert (bad,) == merged_checks([part(1, checks=(fine,)), part(1, checks=(bad,)), part(1, checks=(fine,))])
