from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from firstaudio.bench.figures.fit import Fit, fit_ttfa


@pytest.fixture
def answers(record: Any) -> Any:
    """30 texts of 40 to 620 characters: TTFA a + b per character, the whole after 20 ms + 2 ms per character."""

    def make(a: float, b: float, noise: float = 0.5, rate: float = 2.0) -> list[Any]:
        generator = np.random.default_rng(1)

        def one(i: int) -> Any:
            length = 40 + 20 * i
            first = a + b * length + generator.normal(0, noise)
            last = max(first, 20 + rate * length + generator.normal(0, noise))
            return record(i, text="x" * length, chunks=((first, 10), (last, 10)))

        return [one(i) for i in range(30)]

    return make


@pytest.mark.parametrize(
    ("a", "b", "verdict"), [(15, 0.0, "streams"), (15, 0.3, "streams"), (15, 1.0, "unclear"), (19, 2.0, "whole")]
)
def test_ttfa_beside_latency_tells_who_streams(answers: Any, a: float, b: float, verdict: str):
    fit = fit_ttfa(answers(a, b))

    assert verdict == fit.verdict
    assert (fit.a_ms, fit.b_ms_per_char) == pytest.approx((a, b), abs=1.0)
    assert fit.b_low is not None
    assert fit.b_high is not None
    assert fit.b_low - 1e-3 <= b <= fit.b_high + 1e-3


def test_the_share_is_what_is_kept_back(answers: Any):
    assert fit_ttfa(answers(15, 1.0, noise=0.0)).share == pytest.approx(0.5)


def test_a_latency_that_does_not_grow_tells_nothing(answers: Any):
    fit = fit_ttfa(answers(15, 0.0, rate=0.0))

    assert (fit.verdict, fit.share) == ("unclear", None)
    assert "send longer texts" in fit.sentence


@pytest.mark.parametrize("rows", [slice(0, 5), slice(20, 30), slice(0, 0)])
def test_few_texts_or_equal_ones_are_not_fitted(answers: Any, rows: slice):
    found = fit_ttfa(answers(15, 2.0)[rows])

    assert found == Fit(None, None, None, None, None, None, found.n, "unclear", found.sentence)


def test_failures_are_not_fitted(answers: Any, failed: Any):
    rows = answers(15, 0.0)

    assert fit_ttfa(rows) == fit_ttfa([*rows, *(failed(i, text="y" * 9000) for i in range(100, 120))])


@pytest.mark.parametrize(("b", "flat"), [(0.0, True), (0.001, True), (1.0, False)])
def test_a_slope_that_explains_little_is_called_flat(answers: Any, b: float, flat: bool):
    fit = fit_ttfa(answers(15, b, noise=0.01))

    assert fit.flat is flat
    assert ("flat over the length of the text" in fit.sentence) is flat
