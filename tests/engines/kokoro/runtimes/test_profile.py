"""Measured once, kept, measured again when something that matters has changed."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from firstaudio.engines.kokoro.runtimes import profile
from firstaudio.engines.kokoro.runtimes.figures import EQUAL_DB, Figures, choose
from firstaudio.engines.kokoro.runtimes.profile import (
    load_or_measure,
    machine_facts,
    profile_path,
    profiles_of,
    read_profile,
)
from firstaudio.errors import ConfigError, EngineError, MissingExtraError


@pytest.fixture
def graph(tmp_path):
    path = tmp_path / "graph.onnx"
    path.write_bytes(b"a graph")
    return path


@pytest.fixture
def facts(graph):
    return machine_facts(graph, ["onnxruntime-cpu", "openvino-cpu"], 2)


class Measuring:
    """Counts how often somebody measured."""

    def __init__(self) -> None:
        self.num = 0

    def __call__(self):
        self.num += 1
        sound = Figures("onnxruntime-cpu", 3.0, (1.0, 2.0, 1.0, 1.0, 1.0, 1.0), EQUAL_DB)
        return choose([sound, Figures("openvino-cpu", problem="it fell over")])


@pytest.fixture
def measure():
    return Measuring()


def test_what_was_measured_is_kept(tmp_path, facts, measure):
    first = load_or_measure(tmp_path / "deep" / "profiles", facts, measure)
    second = load_or_measure(tmp_path / "deep" / "profiles", facts, measure)

    assert measure.num == 1
    assert first == second
    assert second.choice.winner == "onnxruntime-cpu"
    assert second.choice.reasons["openvino-cpu"] == "openvino-cpu: not used: it fell over"


@pytest.mark.parametrize(
    "changed",
    [
        {"num_threads": 4},
        {"candidates": ["onnxruntime-cpu"]},
        {"versions": {"onnxruntime": "99.0"}},
        {"measurement": 99},
        {"system": "Another 1.0"},
        {"processor": {"model": "Another"}},
    ],
)
def test_a_change_that_matters_is_measured_again_and_replaces_the_old_one(tmp_path, facts, measure, changed):
    load_or_measure(tmp_path, facts, measure)
    load_or_measure(tmp_path, facts | changed, measure)
    load_or_measure(tmp_path, facts | changed, measure)

    assert measure.num == 2


@pytest.mark.parametrize("chosen", [{"candidates": ["onnxruntime-cpu", "openvino-cpu-bf16"]}, {"num_threads": 4}])
def test_settings_that_change_to_and_fro_have_a_profile_each(tmp_path, facts, measure, chosen):
    """As one server in f32 and one in bf16 over one folder."""
    for _ in range(3):
        kept = load_or_measure(tmp_path, facts, measure)
        assert load_or_measure(tmp_path, facts | chosen, measure).facts == facts | chosen

    assert measure.num == 2
    assert kept.facts == facts
    assert set(profiles_of(tmp_path, facts["graph"])) == {
        profile_path(tmp_path, facts),
        profile_path(tmp_path, facts | chosen),
    }


def test_facts_name_what_figures_depend_on(facts, graph):
    assert {"processor", "system", "python", "versions", "measurement", "graph", "candidates", "num_threads"} == set(
        facts
    )
    assert {"onnxruntime", "openvino"} <= set(facts["versions"])
    assert facts == json.loads(json.dumps(facts))
    graph.write_bytes(b"another graph")
    assert facts["graph"] != machine_facts(graph, facts["candidates"], 2)["graph"]


def test_two_graphs_have_a_profile_each(tmp_path, facts, measure):
    other = facts | {"graph": "f" * 64}
    for _ in range(2):
        load_or_measure(tmp_path, facts, measure)
        load_or_measure(tmp_path, other, measure)

    assert measure.num == 2


@pytest.mark.parametrize("content", ["", "{", "[]", '"text"', '{"choice": {}}', "null", "\x00" * 50])
def test_a_corrupt_file_is_set_aside_and_measured_again(tmp_path, facts, measure, caplog, content):
    load_or_measure(tmp_path, facts, measure)
    (path,) = tmp_path.glob("machine-*.json")
    path.write_text(content)
    found = load_or_measure(tmp_path, facts, measure)

    assert measure.num == 2
    assert found == read_profile(path)
    assert content == path.with_suffix(".corrupt").read_text()
    assert "is no machine profile" in caplog.text


def test_a_winner_that_nobody_measured_is_corrupt(tmp_path, facts, measure):
    kept = load_or_measure(tmp_path, facts, measure)
    (path,) = tmp_path.glob("machine-*.json")
    row = replace(kept, choice=replace(kept.choice, winner="ghost", reasons={"ghost": ""})).to_json()
    row["choice"]["reasons"] = {}
    path.write_text(json.dumps(row))

    with pytest.raises(ConfigError, match="is no machine profile"):
        read_profile(path)


def test_no_file_is_no_profile(tmp_path):
    assert read_profile(tmp_path / "machine-0.json") is None


def test_where_nothing_can_be_written_it_holds_for_this_process(tmp_path, facts, measure, caplog):
    (tmp_path / "file").write_text("in the way")
    found = load_or_measure(tmp_path / "file" / "folder", facts, measure)

    assert found.choice.winner == "onnxruntime-cpu"
    assert "not kept" in caplog.text


def test_a_disk_that_is_full_costs_the_file_only(tmp_path, facts, measure, caplog, monkeypatch):
    def full(number):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(profile.os, "fsync", full)
    found = load_or_measure(tmp_path, facts, measure)

    assert found.choice.winner == "onnxruntime-cpu"
    assert "No space left" in caplog.text
    assert [*tmp_path.glob("*.json"), *tmp_path.glob("*.tmp")] == []


def test_a_measurement_that_fails_leaves_no_file_and_no_lock(tmp_path, facts, measure):
    def fails():
        raise EngineError("it fell over")

    with pytest.raises(EngineError):
        load_or_measure(tmp_path, facts, fails)

    assert list(tmp_path.glob("machine-*.json")) == []
    assert load_or_measure(tmp_path, facts, measure).choice.winner == "onnxruntime-cpu"


def test_two_at_once_measure_once(tmp_path, facts):
    begun, may_end = threading.Event(), threading.Event()

    class Slow(Measuring):
        def __call__(self):
            begun.set()
            assert may_end.wait(timeout=10)
            return super().__call__()

    measure = Slow()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(load_or_measure, tmp_path, facts, measure)
        assert begun.wait(timeout=10)
        second = pool.submit(load_or_measure, tmp_path, facts, measure)
        may_end.set()

    assert first.result() == second.result()
    assert measure.num == 1


def test_another_process_that_never_ends_is_not_waited_for_for_ever(tmp_path, facts, measure, monkeypatch, caplog):
    import filelock

    monkeypatch.setattr(profile, "LOCK_TIMEOUT_S", 0.0)
    with filelock.FileLock(tmp_path / f"machine-{facts['graph'][:16]}.lock"):
        found = load_or_measure(tmp_path, facts, measure)

    assert found.choice.winner == "onnxruntime-cpu"
    assert "not kept" in caplog.text


def test_without_the_lock_package_the_extra_is_named(tmp_path, facts, measure, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "filelock", None)

    with pytest.raises(MissingExtraError, match=r"firstaudio\[kokoro\]"):
        load_or_measure(tmp_path, facts, measure)


def test_a_graph_that_is_not_there_has_no_facts(tmp_path):
    with pytest.raises(ConfigError, match="cannot read the model"):
        machine_facts(tmp_path / "none.onnx", [], 1)
