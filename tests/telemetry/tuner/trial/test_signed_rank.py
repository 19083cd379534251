"""The normal limit is close to what scipy says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import wilcoxon

from firstaudio.telemetry.tuner.trial.signed_rank import signed_rank_p


@given(st.lists(st.integers(-30, 30).filter(bool), min_size=10, max_size=120))
def test_it_is_what_scipy_computes_for_ties_and_all(values):
    expected = wilcoxon(values, method="asymptotic", correction=True).pvalue
    assert signed_rank_p(values) == pytest.approx(expected, rel=1e-6)


def test_in_a_small_sample_it_is_less_certain_than_the_exact_test_and_never_more():
    values = [0.3, -0.1, 0.7, 0.9, 1.1, -0.2, 0.45, 1.3, 0.05, 0.6, 0.8, 0.35]
    exact = wilcoxon(values, method="exact").pvalue
    assert exact <= signed_rank_p(values) < 2 * exact


def test_nothing_that_differs_is_no_difference():
    assert signed_rank_p([]) == 1.0
    assert signed_rank_p([0.0, 0.0]) == 1.0
