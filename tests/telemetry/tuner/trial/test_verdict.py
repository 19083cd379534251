"""What counts as better, what as harm, and how often nothing is taken for something."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from firstaudio.telemetry.tuner.trial.verdict import (
    LOOK_ALPHAS,
    Counts,
    compare,
    floors,
    harm,
    judge,
    tail,
)

NOTHING = {"a": Counts(), "b": Counts()}


def pairs(a, b, metric="ttfa_ms"):
    """Answers of either arm, one of each in a block."""
    return {
        (block, "kind"): {"a": [{metric: x}], "b": [{metric: y}]} for block, (x, y) in enumerate(zip(a, b, strict=True))
    }


def noisy(seed, n, median=200.0, spread=0.2):
    rng = random.Random(seed)
    return [median * math.exp(rng.gauss(0, spread)) for _ in range(n)]


def verdict(a, b, alpha=0.05, counts=NOTHING, guards=()):
    return judge(pairs(a, b), counts, "ttfa_ms", guards, alpha=alpha)


def test_a_large_gain_is_better():
    found = verdict(noisy(1, 40), noisy(2, 40, 120))
    assert found.name == "better"
    assert found.target.ratio == pytest.approx(0.6, abs=0.05)
    assert found.target.low < 0.6 < found.target.high < 1
    assert found.target.n == 40


def test_a_large_loss_is_worse():
    assert verdict(noisy(1, 40), noisy(2, 40, 320)).name == "worse"


def test_equal_settings_are_equivalent_once_there_is_enough():
    assert verdict(noisy(1, 300, spread=0.05), noisy(2, 300, spread=0.05)).name == "equivalent"


def test_a_gain_below_5_percent_does_not_count_however_certain():
    a = noisy(1, 60, spread=0.01)
    found = verdict(a, [x * 0.96 for x in a])
    assert found.target.high < 1
    assert found.name == "equivalent"


def test_a_gain_below_5_ms_does_not_count_however_large():
    a = noisy(1, 60, 8.0, spread=0.01)
    assert verdict(a, [x - 4 for x in a]).name == "equivalent"


def test_where_no_gain_of_5_ms_is_possible_nothing_is_better():
    assert floors("ttfa_ms", 4.0)[0] == 0.0
    assert verdict([4.0] * 40, [0.001] * 40).name == "equivalent"


def test_few_blocks_decide_nothing():
    assert verdict([200.0] * 9, [100.0] * 9).name == "inconclusive"


def test_without_a_pair_there_is_no_figure():
    found = judge({(0, "x"): {"a": [{"ttfa_ms": 1.0}], "b": []}}, NOTHING, "ttfa_ms", (), alpha=0.05)
    assert (found.name, found.target) == ("inconclusive", None)


def test_a_failure_is_infinitely_slow_and_two_say_nothing():
    cells = pairs([100.0, math.inf, math.inf], [math.inf, 100.0, math.inf])
    found = compare(cells, "ttfa_ms", alpha=0.05)
    assert found.n == 2
    assert found.ratio == pytest.approx(1.0)


def test_a_block_counts_once_however_much_was_said_in_it():
    cells = {
        (0, kind): {"a": [{"ttfa_ms": 10.0}] * 5, "b": [{"ttfa_ms": 10.0 * ratio}]}
        for kind, ratio in enumerate((0.2, 0.5, 0.6))
    }
    found = compare(cells, "ttfa_ms")
    assert (found.n, found.ratio) == (1, pytest.approx(0.5))


def test_many_pairs_need_little_memory():
    import tracemalloc

    tracemalloc.start()
    found = verdict(noisy(1, 500), noisy(2, 500))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.target.n == 500
    assert peak < 100e6


def test_faster_first_audio_that_costs_gapless_play_is_harmful():
    cells = {
        (block, "kind"): {
            "a": [{"ttfa_ms": a, "ttgp_ms": a}],
            "b": [{"ttfa_ms": b, "ttgp_ms": a * 1.2}],
        }
        for block, (a, b) in enumerate(zip(noisy(1, 40), noisy(2, 40, 100), strict=True))
    }
    found = judge(cells, NOTHING, "ttfa_ms", ("ttgp_ms",), alpha=0.05)
    assert found.name == "harmful"
    assert "gapless play rises by 20 %" in found.sentence


def test_three_more_stuttering_answers_forbid_to_keep_a_gain():
    counts = {"a": Counts(40), "b": Counts(40, stalled=3)}
    found = verdict(noisy(1, 40), noisy(2, 40, 100), counts=counts)
    assert found.name == "harmful"
    assert "3 of 40 stuttered" in found.sentence


@pytest.mark.parametrize("kind", ["failed", "stalled", "left"])
def test_four_bad_answers_against_none_are_harm(kind):
    assert harm({"a": Counts(20), "b": Counts(20, **{kind: 3})}) == ""
    assert "4 of 20" in harm({"a": Counts(20), "b": Counts(20, **{kind: 4})})


def test_bad_answers_of_both_arms_are_nobodys_fault():
    assert harm({"a": Counts(50, failed=10), "b": Counts(50, failed=12)}) == ""


def test_bad_answers_of_the_present_setting_are_no_harm():
    assert harm({"a": Counts(50, failed=30), "b": Counts(50)}) == ""


@given(st.integers(0, 60), st.integers(1, 5000), st.integers(0, 60), st.integers(1, 5000))
def test_the_tail_is_that_of_the_binomial_distribution(bad_a, more_a, bad_b, more_b):
    n_a, n_b = bad_a + more_a, bad_b + more_b
    found = tail(bad_a, n_a, bad_b, n_b)
    if bad_b * n_a <= bad_a * n_b:
        assert found == 1.0
    else:
        assert found == pytest.approx(binom.sf(bad_b - 1, bad_a + bad_b, n_b / (n_a + n_b)), rel=1e-6)


def test_numbers_of_a_busy_day_do_not_overflow():
    assert tail(4000, 50_000, 6000, 50_000) < 1e-50


def test_the_evidence_is_json():
    import json

    told = verdict(noisy(1, 20), noisy(2, 20)).evidence()
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert set(told) == {"target", "guards", "counts"}


def looked_at_twice(seed, effect=1.0, n=40, spread=0.4):
    """The verdict over an experiment of two looks, as the tuner takes them."""
    a, b = noisy(seed, n, spread=spread), noisy(seed + 10_000, n, 200 * effect, spread=spread)
    first = verdict(a[: n // 2], b[: n // 2], LOOK_ALPHAS[0])
    return first if first.name in ("better", "worse", "equivalent") else verdict(a, b, LOOK_ALPHAS[1])


@pytest.mark.timeout(120)
def test_equal_settings_are_rarely_taken_for_better():
    """200 experiments between equals, seeds stated: at most 2.5 % may be called better, and chance allows 11 of 200."""
    wrong = [seed for seed in range(200) if looked_at_twice(seed).name == "better"]
    assert len(wrong) <= 11, wrong


def test_a_real_gain_is_mostly_found():
    assert sum(looked_at_twice(seed, 0.6).name == "better" for seed in range(20)) >= 19
