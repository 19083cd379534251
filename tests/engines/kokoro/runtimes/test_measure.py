"""Interleaved rounds with every output checked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from firstaudio.engines.kokoro.runtimes.figures import choose
from firstaudio.engines.kokoro.runtimes.measure import NUM_WARM_UP, compare
from firstaudio.engines.kokoro.runtimes.openvino_runtime import OpenVinoRuntime
from firstaudio.engines.kokoro.runtimes.ort import OrtRuntime
from firstaudio.errors import ConfigError

X = np.sin(np.arange(100, dtype=np.float32))
STEP = {"x": X}
REFERENCE = {"audio": X}
GRAPH = Path("graph.onnx")


def measured(fakes, clock, sessions, **options):
    runtimes = [fakes.Runtime(name, session) for name, session in sessions.items()]
    return compare(runtimes, GRAPH, STEP, REFERENCE, clock=clock, **options)


def test_medians_are_those_of_the_timed_rounds(fakes):
    """The warm-up of the first takes a second; nobody is told."""
    clock = fakes.Clock()
    cold = fakes.Session(clock, [1000.0, 1000.0, *[30.0] * 9])
    first, second = measured(fakes, clock, {"a-cpu": cold, "b-cpu": fakes.Session(clock, [10.0])})

    assert (first.median_ms, second.median_ms) == (30.0, 10.0)
    assert (len(first.times_ms), len(second.times_ms)) == (9, 9)
    assert cold.num_runs == NUM_WARM_UP + 9


def test_rounds_are_interleaved_in_an_order_that_the_seed_decides(fakes):
    def order(seed):
        clock, said = fakes.Clock(), []

        class Told(fakes.Session):
            def run(self, inputs):
                said.append(self.costs_ms[0])
                return super().run(inputs)

        measured(fakes, clock, {n: Told(clock, [float(n)]) for n in "123"}, seed=seed)
        return said

    timed = order(0)[3 * NUM_WARM_UP :]

    assert all(sorted(timed[i : i + 3]) == [1.0, 2.0, 3.0] for i in range(0, 27, 3))
    assert len({tuple(timed[i : i + 3]) for i in range(0, 27, 3)}) > 1
    assert order(0) == order(0) != order(1)


@pytest.mark.parametrize("at", [0, 1, 2, 7])
@pytest.mark.parametrize("fault", ["raise", "silent", "nan", "shape"])
def test_one_that_fails_at_any_run_is_out_and_the_others_go_on(fakes, fault, at):
    clock = fakes.Clock()
    bad, good = fakes.Session(clock, [1.0], {at: fault}), fakes.Session(clock, [9.0])
    first, second = measured(fakes, clock, {"bad": bad, "good": good})

    assert first.problem
    assert at + 1 == bad.num_runs
    assert (second.problem, second.median_ms) == ("", 9.0)
    assert choose([first, second]).winner == "good"


def test_an_output_too_far_from_the_reference_is_out(fakes):
    clock = fakes.Clock()
    sessions = {"rough": fakes.Session(clock, noise=0.1), "fine": fakes.Session(clock, noise=0.001)}

    assert [each.problem for each in measured(fakes, clock, sessions)] == [
        "its audio is 20 dB from the reference, at least 25 dB are wanted",
        "",
    ]
    assert [each.problem for each in measured(fakes, clock, sessions, min_snr_db=15.0)] == ["", ""]


def test_one_that_cannot_be_loaded_says_why(fakes):
    runtimes = [fakes.Runtime("gone", refusal=ConfigError("no such file")), fakes.Runtime("here", fakes.Session())]
    figures = compare(runtimes, GRAPH, STEP, REFERENCE)

    assert [each.problem for each in figures] == ["no such file", ""]


def test_too_few_rounds_are_refused_before_anything_is_loaded(fakes):
    with pytest.raises(ValueError, match="at least 6 rounds, not 5"):
        compare([fakes.Runtime("none")], GRAPH, STEP, REFERENCE, 5)


def test_real_libraries_agree_on_a_real_graph(local_model):
    inputs = {"x": X[None]}
    reference = OrtRuntime(num_threads=1).load(local_model).run(inputs)
    figures = compare([OrtRuntime(num_threads=1), OpenVinoRuntime(num_threads=1)], local_model, inputs, reference, 6)

    assert [each.problem for each in figures] == ["", ""]
    assert all(each.median_ms > 0 and each.load_ms > 0 and each.snr_db > 100 for each in figures)
    assert choose(figures).winner in ("onnxruntime-cpu", "openvino-cpu")
