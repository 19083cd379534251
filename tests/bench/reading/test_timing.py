import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstaudio.bench.reading.timing import server_timing_ms


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", {}),
        ("queue;dur=1.5, model_inference;dur=40", {"queue": 1.5, "model_inference": 40.0}),
        ('a;desc="x, y; dur=9";dur=2,b ; DUR = "3"', {"a": 2.0, "b": 3.0}),
        ("a;dur=1, a;dur=2", {"a": 3.0}),
        ("miss, a;dur=nan, b;dur=-1, c;dur=soon, d;dur=0", {"d": 0.0}),
    ],
)
def test_stages_with_a_duration_are_read(header: str, expected: dict[str, float]) -> None:
    assert server_timing_ms(header) == expected


@settings(deadline=None)
@given(st.text('a;=,"\\ dur1.'))
def test_no_header_is_too_strange(header: str) -> None:
    assert all(duration >= 0 for duration in server_timing_ms(header).values())
