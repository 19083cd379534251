"""Figures as flags, there and back."""

from __future__ import annotations

import argparse

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstaudio.bench.reference.figures import Figures, add_flags, from_flags, to_flags
from firstaudio.errors import BenchError


def there_and_back(figures: Figures) -> Figures:
    parser = argparse.ArgumentParser()
    add_flags(parser)
    return from_flags(parser.parse_args(list(to_flags(figures))))


@settings(max_examples=60, deadline=None)
@given(
    st.builds(
        Figures,
        ttfa_ms=st.floats(0, 1e4),
        rtf=st.floats(0, 10),
        capacity=st.integers(0, 99),
        failure_rate=st.floats(0, 1),
        stalls=st.lists(st.tuples(st.floats(0, 60), st.floats(0, 5000)), max_size=3).map(tuple),
        freeze=st.none() | st.tuples(st.floats(0, 60), st.floats(0, 5)),
        streams=st.booleans(),
        early_header=st.booleans(),
        token=st.text(st.characters(codec="ascii", exclude_categories=["C"]), max_size=9).filter(
            lambda token: token != "--"
        ),
    )
)
def test_figures_survive_the_command_line(figures: Figures):
    assert there_and_back(figures) == figures


def test_what_is_not_changed_is_not_written():
    assert list(to_flags(Figures())) == []
    assert list(to_flags(Figures(stalls=((1.5, 250),), streams=False))) == ["--stalls=1.5:250", "--no-streams"]


@pytest.mark.parametrize(
    "wrong",
    [{"ttfa_ms": -1}, {"chunk_ms": 0}, {"failure_rate": 1.5}, {"stalls": ((1, -5),)}, {"freeze": (-1, 1)}, {"rtf": -1}],
)
def test_a_figure_out_of_range_is_refused(wrong: dict[str, object]):
    with pytest.raises(BenchError):
        Figures(**wrong)  # type: ignore[arg-type]


def test_half_a_pair_is_refused(capsys: pytest.CaptureFixture[str]):
    parser = argparse.ArgumentParser()
    add_flags(parser)
    with pytest.raises(SystemExit):
        parser.parse_args(["--freeze=3"])

    assert "expected two numbers as 1.5:250, got '3'" in capsys.readouterr().err


def test_a_token_that_no_command_line_can_carry_is_refused():
    with pytest.raises(BenchError, match="cannot be '--'"):
        Figures(token="--")
