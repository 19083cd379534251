"""What windows use in place of their own mean and variance."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstaudio.engines.kokoro.statistics import FOLDER, HASH_DIGITS, StatisticsTable, measure_statistics

NUM_CHANNELS = 4
STYLES = {"af_heart": "a" * 64, "af_bella": "b" * 64, "af_sky": "c" * 64, "../my voice": "d" * 64}


def rows(value: float) -> Any:
    return np.full((NUM_CHANNELS, 2), value, np.float32)


@pytest.fixture
def table(tmp_path: Path) -> StatisticsTable:
    table = StatisticsTable(tmp_path, NUM_CHANNELS, STYLES)
    table.put("af_heart", rows(1.0))
    table.put("af_bella", rows(4.0))
    return table


def damaged(tmp_path: Path, content: bytes) -> StatisticsTable:
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / f"af_heart-{STYLES['af_heart'][:HASH_DIGITS]}.npy").write_bytes(content)
    return StatisticsTable(tmp_path, NUM_CHANNELS, STYLES)


def npy(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def npz(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, array)
    return buffer.getvalue()


def test_what_was_put_is_there_for_another_table_too(table: StatisticsTable, tmp_path: Path):
    for each in (table, StatisticsTable(tmp_path, NUM_CHANNELS, STYLES)):
        assert each.has("af_heart")
        np.testing.assert_array_equal(each.get("af_heart"), rows(1.0))


def test_a_blend_has_the_weighted_mean_of_its_voices(table: StatisticsTable):
    np.testing.assert_allclose(table.get("af_bella+af_heart"), rows(2.5))
    np.testing.assert_allclose(table.get("af_bella(0.25)+af_heart(0.75)"), rows(1.75))


def test_a_blend_is_known_when_all_of_its_voices_are(table: StatisticsTable):
    assert table.has("af_bella+af_heart")
    assert not table.has("af_bella+af_sky")


def test_a_voice_that_is_measured_again_changes_its_blends(table: StatisticsTable):
    assert table.get("af_bella+af_heart")[0, 0] == 2.5
    table.put("af_heart", rows(2.0))
    assert table.get("af_bella+af_heart")[0, 0] == 3.0
    assert table.get("af_heart")[0, 0] == 2.0


def test_blends_leave_nothing_in_memory(table: StatisticsTable):
    for share in range(1, 50):
        table.get(f"af_heart({share})+af_bella(1)")
    assert set(table._known) == {"af_heart", "af_bella"}


def test_a_voice_that_is_measured_later_becomes_known(table: StatisticsTable, tmp_path: Path):
    assert not table.has("af_sky")
    StatisticsTable(tmp_path, NUM_CHANNELS, STYLES).put("af_sky", rows(1.0))
    assert table.has("af_sky")


def test_another_voice_of_the_same_name_is_not_known_and_both_keep_what_was_measured(
    table: StatisticsTable, tmp_path: Path
):
    other = StatisticsTable(tmp_path, NUM_CHANNELS, STYLES | {"af_heart": "e" * 64})
    assert (other.has("af_heart"), other.has("af_bella"), other.has("af_bella+af_heart")) == (False, True, False)
    other.put("af_heart", rows(7.0))
    for voices, found in ((other, 7.0), (StatisticsTable(tmp_path, NUM_CHANNELS, STYLES), 1.0)):
        np.testing.assert_array_equal(voices.get("af_heart"), rows(found))


def test_a_voice_that_is_not_in_the_file_is_not_known(table: StatisticsTable, tmp_path: Path):
    assert not StatisticsTable(tmp_path, NUM_CHANNELS, {"af_sky": "c" * 64}).has("af_heart")


def test_a_name_that_is_no_file_name_stays_in_the_folder(table: StatisticsTable, tmp_path: Path):
    table.put("../my voice", rows(3.0))
    assert table.has("../my voice")
    assert all(path.parent == tmp_path / FOLDER for path in tmp_path.rglob("*.npy"))


def test_nothing_is_known_without_files(tmp_path: Path):
    assert not StatisticsTable(tmp_path, NUM_CHANNELS, STYLES).has("af_heart")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"nonsense",
        npy(rows(1.0))[:40],
        npy(rows(1.0))[:-4],
        npy(rows(1.0)[:3]),
        npy(rows(1.0).T),
        npy(rows(np.nan)),
        npy(rows(np.inf)),
        npz(rows(1.0)),
        npz(rows(1.0))[:100],
        npy(np.array([{"an": "object"}], dtype=object)),
    ],
)
def test_damaged_statistics_are_none(tmp_path: Path, content: bytes):
    assert not damaged(tmp_path, content).has("af_heart")


def test_damaged_statistics_can_be_measured_again(tmp_path: Path):
    table = damaged(tmp_path, b"nonsense")
    assert not table.has("af_heart")
    table.put("af_heart", rows(1.0))
    assert table.has("af_heart")


@given(st.lists(st.integers(1, 40), min_size=1, max_size=5), st.integers(0, 1000))
def test_statistics_of_several_runs_are_those_of_all_of_them_in_one(lengths: list[int], seed: int):
    random = np.random.default_rng(seed)
    signals = [random.normal(0.5, 2.0, (NUM_CHANNELS, length)) for length in lengths]

    def run(signal: Any) -> Any:
        own = np.stack([signal.mean(axis=1), signal.var(axis=1)], axis=1).astype(np.float32)
        return lambda: (own, signal.shape[1])

    together = np.concatenate(signals, axis=1)
    expected = np.stack([together.mean(axis=1), together.var(axis=1)], axis=1)
    found = measure_statistics([run(signal) for signal in signals])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-4, rtol=1e-4)
