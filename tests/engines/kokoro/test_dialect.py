"""Which port is which."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from firstaudio.engines.kokoro.dialect import Dialect, read_dialect
from firstaudio.engines.kokoro.runtimes.base import Port
from firstaudio.errors import ConfigError

TOKENS, STYLE = Port("tokens", "int64", (1, None)), Port("style", "float32", (1, 256))
SPEED, AUDIO = Port("speed", "float32", (1,)), Port("audio", "float32", (None,))
DURATIONS = Port("durations", "int64", (None,))


def session(inputs: Sequence[Port], outputs: Sequence[Port] = (AUDIO,)) -> Any:
    return SimpleNamespace(inputs=inputs, outputs=outputs)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("tokens", Dialect("tokens", "style", "speed", False, "audio", None)),
        ("input_ids", Dialect("input_ids", "style", "speed", False, "waveform", "duration")),
        ("int_speed", Dialect("input_ids", "style", "speed", True, "waveform", None)),
        ("long_speed", Dialect("tokens", "style", "speed", True, "output", None)),
    ],
)
def test_every_public_dialect_is_read_from_the_file(
    kokoro: Any, tools: SimpleNamespace, tmp_path: Path, name: str, expected: Dialect
):
    path = tmp_path / "model.onnx"
    path.write_bytes(tools.dialects[name](tools.load(tools.MODEL)).SerializeToString())
    assert read_dialect(kokoro.runtime.load(path)) == expected


def test_the_order_of_ports_says_nothing():
    found = read_dialect(session([SPEED, STYLE, TOKENS], [DURATIONS, AUDIO]))
    assert found == Dialect("tokens", "style", "speed", False, "audio", "durations")


def test_sizes_that_vary_may_be_a_style():
    assert read_dialect(session([TOKENS, Port("ref_s", "float32", (1, None)), SPEED])).style == "ref_s"


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [
        ([Port("x", "float32", (1, 3, None))], [AUDIO]),
        ([TOKENS, SPEED], [AUDIO]),
        ([TOKENS, STYLE], [AUDIO]),
        ([TOKENS, STYLE, SPEED, Port("emotion", "float32", (1,))], [AUDIO]),
        ([TOKENS, Port("mask", "int64", (1, None)), STYLE, SPEED], [AUDIO]),
        ([TOKENS, Port("style", "float32", (1, 128)), SPEED], [AUDIO]),
        ([TOKENS, STYLE, SPEED], []),
        ([TOKENS, STYLE, SPEED], [AUDIO, Port("more", "float32", (None,))]),
        ([TOKENS, STYLE, SPEED], [AUDIO, DURATIONS, Port("more", "int64", (None,))]),
        ([], []),
    ],
)
def test_other_inputs_and_outputs_are_no_kokoro_model(inputs: list[Port], outputs: list[Port]):
    with pytest.raises(
        ConfigError, match=r"this is no Kokoro model: inputs .*, outputs .*; expected are tokens"
    ) as caught:
        read_dialect(session(inputs, outputs))
    assert all(f"{port.name} {port.dtype}" in caught.value.message for port in (*inputs, *outputs))
    assert "set kokoro.model to another file" in caught.value.message
