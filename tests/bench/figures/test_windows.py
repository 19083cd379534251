from __future__ import annotations

from typing import Any

import pytest

from firstaudio.bench.figures.aggregate import summarise
from firstaudio.bench.figures.windows import steady, window_of
from firstaudio.bench.spec import TargetSpec
from firstaudio.bench.workload import Cell, Goals, Load

ONE = Cell("c", TargetSpec("openai"), load=Load(concurrency=1, num_requests=4))
TWO = ONE.replace(load=Load(concurrency=2, num_requests=8))


def busy(record: Any, client: int, number: int, phase: str = "measured", part: int = 0, start: float = 0.0) -> Any:
    """An answer of 100 ms; each client asks again at once, the second one half an answer later."""
    sent = start + 100 * number + 50 * client
    return record(2 * number + client, sent=sent, phase=phase, client=client, part=part)


def test_the_load_is_steady_from_the_first_to_the_last_measured_dispatch(record: Any):
    """Of two clients with four answers each, the last two end when no more are sent; one of the warm-up ends within."""
    warmup = [busy(record, client, -1, "warmup") for client in (0, 1)]
    counted = [busy(record, client, number) for number in range(4) for client in (0, 1)]

    answers, window = steady(TWO, warmup + counted, counted)

    assert pytest.approx(window.seconds) == 0.35
    assert len(answers) == 7
    assert {"warmup", "measured"} == {answer.phase for answer in answers}
    assert pytest.approx(window_of(TWO, counted).seconds) == 0.45


def test_throughput_is_that_of_the_steady_load(record: Any):
    """Each client is answered ten times a second: 20 in all, which the whole window would tell as 8 / 0.45."""
    warmup = [busy(record, client, -1, "warmup") for client in (0, 1)]
    counted = [busy(record, client, number) for number in range(4) for client in (0, 1)]

    totals = summarise(TWO, warmup + counted, Goals()).totals

    assert pytest.approx(totals["rps"]) == 20.0


def test_without_two_answers_per_client_there_was_no_steady_load(record: Any):
    counted = [busy(record, client, number) for number in range(2) for client in (0, 1)]

    answers, window = steady(TWO, counted, counted)

    assert counted == answers
    assert pytest.approx(window.seconds) == 0.25


def test_pauses_between_parts_do_not_count(record: Any):
    rows = [busy(record, 0, number, part=part, start=10_000 * part) for part in (0, 1) for number in range(3)]

    assert pytest.approx(window_of(ONE, rows).seconds) == 0.6
    answers, window = steady(ONE, rows, rows)
    assert pytest.approx(window.seconds) == 0.4
    assert len(answers) == 4
