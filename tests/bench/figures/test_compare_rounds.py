from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest

from firstaudio.bench.compare import AbResult, compare_rounds, pair_up
from firstaudio.bench.compare.rounds import ABSOLUTE_FLOORS
from firstaudio.errors import BenchError

Rounds = list[tuple[list[Any], list[Any]]]


@pytest.fixture
def simulated(record: Any) -> Any:
    """Rounds of A and of B, which takes `factor` times as long for everything (or for the first audio alone).

    A round is 3 % off the others, for both alike; each stamp is 1 ms off. RTF is 0.1.
    """

    def make(seed: int, factor: float, *, ttfa: float = 50.0, rounds: int = 10, rate: float | None = None) -> Rounds:
        generator = np.random.default_rng(seed)

        def answer(number: int, text: int, audio: int, shift: float, slow: tuple[float, float]) -> Any:
            first = slow[0] * ttfa * shift + generator.normal()
            last = first + slow[1] * 0.1 * audio * shift + generator.normal()
            return record(text, text=f"{number} {text}", chunks=((first, audio // 4), (last, audio * 3 // 4)))

        def one(number: int) -> tuple[list[Any], list[Any]]:
            shift, lengths = 1 + generator.normal(0, 0.03), generator.integers(800, 3000, size=4)
            slows = (1.0, 1.0), (factor, factor if rate is None else rate)
            a, b = ([answer(number, i, int(n), shift, slow) for i, n in enumerate(lengths)] for slow in slows)
            return a, b

        return [one(number) for number in range(rounds)]

    return make


def verdicts(result: AbResult) -> dict[str, str]:
    return {each.metric: each.verdict for each in result.metrics}


@pytest.mark.parametrize(("factor", "wanted"), [(1.0, {"equivalent", "inconclusive"}), (1.1, {"slower"})])
def test_equal_targets_are_never_told_apart_and_ten_percent_are(simulated: Any, factor: float, wanted: set[str]):
    """Nineteen of twenty. At a TTFA of 50 ms; the whole answer is slower, as from a slower machine."""
    found = Counter(compare_rounds(simulated(seed, factor), "a", "b").verdict for seed in range(20))

    assert sum(found[verdict] for verdict in wanted) >= 19


def test_ten_percent_less_is_faster(simulated: Any):
    assert compare_rounds(simulated(1, 0.9), "a", "b").verdict == "faster"


def test_a_first_audio_that_is_late_by_more_than_both_floors_is_slower(simulated: Any):
    result = compare_rounds(simulated(1, 1.1, ttfa=100.0, rate=1.0), "a", "b")

    assert "slower" == verdicts(result)["ttfa_ms"] == result.verdict


def test_ten_percent_that_are_less_than_five_milliseconds_do_not_count(simulated: Any):
    """At 30 ms they are 3 ms, below the absolute floor, and the whole answer is no slower."""
    result = compare_rounds(simulated(1, 1.1, ttfa=30.0, rate=1.0), "a", "b")

    assert verdicts(result)["ttfa_ms"] == "equivalent"
    assert result.metrics[0].band == pytest.approx(1 + 5 / 30, rel=0.05)


def test_three_percent_are_below_the_relative_floor(simulated: Any):
    assert compare_rounds(simulated(1, 1.03, ttfa=500.0), "a", "b").verdict == "equivalent"


def test_few_rounds_are_inconclusive_and_say_how_many_more(simulated: Any):
    result = compare_rounds(simulated(1, 1.1, ttfa=100.0, rounds=6), "a", "b")

    assert result.verdict == "inconclusive"
    assert result.metrics[0].more_rounds == 4
    assert "run 4 more rounds" in result.sentence


def test_a_faster_target_that_sounds_wrong_is_not_faster(simulated: Any):
    result = compare_rounds(simulated(1, 0.8), "a", "b", voided_by=["the tail is cut off"])

    assert result.verdict == "inconclusive"
    assert result.voided_by == ("the tail is cut off",)
    assert "the tail is cut off" in result.sentence


def test_a_slower_target_stays_slower_whatever_it_sounds_like(simulated: Any):
    assert compare_rounds(simulated(1, 1.2), "a", "b", voided_by=["clicks"]).verdict == "slower"


def with_failures(rounds: Rounds, failed: Any, side: int, every: int) -> Rounds:
    """The same, but every so many requests of a side fail."""
    count = 0
    found = []
    for pair in rounds:
        sides = [list(rows) for rows in pair]
        for place, row in enumerate(sides[side]):
            count += 1
            if count % every == 0:
                sides[side][place] = failed(place, text=row.text)
        found.append((sides[0], sides[1]))
    return found


def test_a_target_that_fails_more_often_is_slower_though_its_answers_are_faster(simulated: Any, failed: Any):
    result = compare_rounds(with_failures(simulated(1, 0.8), failed, side=1, every=4), "a", "b")

    assert result.verdict == "slower"
    assert verdicts(result)["success_rate"] == "slower"
    assert "less reliable" in result.sentence


def test_half_of_all_failing_makes_every_metric_slower(simulated: Any, failed: Any):
    result = compare_rounds(with_failures(simulated(1, 1.0), failed, side=1, every=1), "a", "b")

    assert {"slower"} == set(verdicts(result).values())


def test_one_failure_is_too_few_to_tell_but_nobody_is_called_equivalent(simulated: Any, failed: Any):
    result = compare_rounds(with_failures(simulated(1, 1.0), failed, side=1, every=30), "a", "b")

    assert result.verdict == "inconclusive"
    assert result.metrics[0].one_sided == 1


def test_pairs_that_both_failed_are_counted_and_say_nothing(simulated: Any, failed: Any):
    rounds = simulated(1, 1.0)
    both = with_failures(with_failures(rounds, failed, side=0, every=8), failed, side=1, every=8)

    result = compare_rounds(both, "a", "b")

    assert result.verdict == "equivalent"
    assert (result.both_failed, result.metrics[0].n) == (5, 35)


def test_when_all_fail_on_both_sides_nothing_is_known(failed: Any):
    result = compare_rounds([([failed(0)], [failed(0)])] * 10, "a", "b")

    assert (result.verdict, result.both_failed) == ("inconclusive", 10)


def test_pairs_are_made_by_round_and_text_in_order(record: Any):
    rounds = [
        ([record(0, text="x"), record(1, text="y")], [record(5, text="y"), record(6, text="x")]),
        ([record(2, text="x"), record(3, text="x")], [record(7, text="x"), record(8, text="z")]),
    ]

    pairs, left_over = pair_up(rounds)

    assert [(pair.round, pair.a.index, pair.b.index) for pair in pairs] == [(0, 1, 5), (0, 0, 6), (1, 2, 7)]
    assert left_over == 2


def test_nothing_in_common_is_an_error(record: Any):
    with pytest.raises(BenchError, match="no text was said by both"):
        compare_rounds([([record(0, text="x")], [record(1, text="y")])], "a", "b")


def test_a_result_is_json_with_each_gate(simulated: Any):
    written = json.loads(json.dumps(asdict(compare_rounds(simulated(1, 1.1), "a", "b")), allow_nan=False))

    assert [*ABSOLUTE_FLOORS, "success_rate"] == [row["metric"] for row in written["metrics"]]
    assert {"a", "b", "rounds", "metrics", "verdict", "sentence", "voided_by"} <= set(written)


def test_the_same_rounds_give_the_same_result(simulated: Any):
    rounds = simulated(3, 1.05)

    assert compare_rounds(rounds, "a", "b") == compare_rounds(rounds, "a", "b")
