from __future__ import annotations

import pytest

from firstaudio.bench.report.figures import estimate, number, varying_axes
from firstaudio.bench.result import Estimate


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (345.21, "", "345.2"),
        (30.6, "ms", "30.6 ms"),
        (1540.4, "ms", "1540 ms"),
        (0.00294, "", "0.0029"),
        (0.00002, "", "2e-05"),
        (1.234, "", "1.23"),
        (0.0, "ms", "0 ms"),
        (72, "", "72"),
        (99.96, "%", "100.0 %"),
        (None, "ms", "n/a"),
    ],
)
def test_a_number_shows_what_matters_of_it(value, unit, expected):
    assert number(value, unit) == expected


@pytest.mark.parametrize(
    ("figure", "expected"),
    [
        (Estimate(30.6, 29.0, 33.1), "30.6 ms (29.0–33.1)"),
        (Estimate(30.6, 29.0, None), "30.6 ms (29.0–inf)"),
        (Estimate(30.6), "30.6 ms"),
        (Estimate(None, needs=72), "n/a (needs 72)"),
        (Estimate(None, infinite=True), "inf (failures)"),
        (Estimate(None), "n/a"),
        (None, "n/a"),
    ],
)
def test_a_quantile_that_could_not_be_had_says_why(figure, expected):
    assert estimate(figure, "ms", interval=True) == expected


def test_axes_that_do_not_vary_are_not_shown(make_cell):
    cells = [make_cell(axes={"voice": "alto", "concurrency": level, "target": "x"}) for level in (1, 2)]
    assert varying_axes(cells) == ["concurrency"]
    assert varying_axes(cells[:1]) == ["concurrency"]
    assert varying_axes([]) == ["concurrency"]
