"""The cut itself: one graph into `front`, `source`, `generator`, `window` and `tail`.

front      tokens, style, speed -> hidden [1, width, 2F], f0 [1, 2F], durations; the decoder in front of the generator
           is part of it: a twentieth of the work, and with it whole its instance norms are exact
source     f0 -> har [1, bins2, 120F + 1]; of a beginning of f0 it gives the beginning of har, but for its last frame
generator  hidden, har, style -> x [1, bins2, 120F + 1], as it was: for whole runs
window     the same with its norms' statistics given (`affine`) and rewritten for speed: local in time
tail       x -> audio, 600 samples a frame
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx

from firstaudio.engines.kokoro.surgery.anchors import Anchors
from firstaudio.engines.kokoro.surgery.graph import FLOAT, INT64, AnchorError, Graph, Plug, element_type
from firstaudio.engines.kokoro.surgery.rewrites import (
    Norm,
    add_statistics,
    find_norms,
    give_randomness,
    rewrite_norms,
    rewrite_snake,
    rewrite_upsampling,
)

PROBED = (8, 12)  # half frames of the two runs that tell how the shape of noise grows


@dataclass(frozen=True, slots=True)
class Noise:
    """Random numbers that a piece wants.

    Attributes:
        distribution: "normal" (mean 0, variance 1) or "uniform" (0..1).
        fixed: Size of each dimension at no length at all.
        per_half_frame: What each half frame adds to it.
    """

    distribution: str
    fixed: tuple[int, ...]
    per_half_frame: tuple[int, ...]

    def shape(self, num_half_frames: int) -> tuple[int, ...]:
        """Shape for a stretch of that length."""
        return tuple(a + b * num_half_frames for a, b in zip(self.fixed, self.per_half_frame, strict=True))


@dataclass(frozen=True, slots=True)
class Cut:
    """The pieces and what is known of them.

    Attributes:
        pieces: Models by name.
        noise: What the source wants, by input.
        norms: Of the generator, in the order of `affine`.
    """

    pieces: dict[str, onnx.ModelProto]
    noise: dict[str, Noise]
    norms: list[Norm]


def cut(graph: Graph, anchors: Anchors) -> Cut:
    """Cut and rewrite. Raises AnchorError where a piece would need more than it is given."""
    hidden = Plug(anchors.hidden, "hidden", (1, anchors.width, "half_frames"))
    f0 = Plug(anchors.f0, "f0", (1, "half_frames"))
    har = Plug(anchors.har, "har", (1, anchors.bins2, "bins"))
    x = Plug(anchors.x, "x", (1, anchors.bins2, "bins"))
    style = Plug(anchors.style, "style", (1, 256))
    tokens = Plug(anchors.tokens, "tokens", (1, "tokens"), element_type(graph, anchors.tokens))
    speed = Plug(anchors.speed, "speed", (1,))
    durations = Plug(anchors.durations, "durations", ("tokens",), INT64)
    pieces = {
        "front": graph.extract("front", [tokens, style, speed], [hidden, f0, durations]),
        "source": graph.extract("source", [f0], [har]),
        "generator": graph.extract("generator", [hidden, har, style], [x]),
        "window": graph.extract("window", [hidden, har, style], [x]),
        "tail": graph.extract("tail", [x], [Plug(anchors.audio, "audio", ("samples",))]),
    }
    norms = find_norms(Graph(pieces["generator"]))
    noise = _noise(pieces["source"])
    rewrite_norms(pieces["window"])
    if not rewrite_snake(pieces["window"]) or not rewrite_upsampling(pieces["window"]):
        raise AnchorError("the generator has no sin^2 and no plain upsampling to rewrite")
    return Cut(pieces, noise, norms)


def measuring(generator: onnx.ModelProto) -> onnx.ModelProto:
    """The generator with the output `statistics` [1, channels, 2]: mean and variance at each norm."""
    copy = onnx.ModelProto()
    copy.CopyFrom(generator)
    add_statistics(copy)
    return copy


def _noise(piece: onnx.ModelProto) -> dict[str, Noise]:
    """Turn the piece's random nodes into inputs; their shapes are found by running it at two lengths."""
    shapes = [_random_shapes(piece, length) for length in PROBED]
    kinds = give_randomness(piece)
    found: dict[str, Noise] = {}
    for index, (given, kind) in enumerate(kinds.items()):
        short, long = (np.array(shape[index]) for shape in shapes)
        growth = (long - short) // (PROBED[1] - PROBED[0])
        fixed = short - growth * PROBED[0]
        if ((fixed + growth * PROBED[1]) != long).any():
            raise AnchorError("the source's noise does not grow evenly with its length")
        found[given] = Noise(kind, tuple(map(int, fixed)), tuple(map(int, growth)))
        port = next(item for item in piece.graph.input if item.name == given)
        port.CopyFrom(onnx.helper.make_tensor_value_info(given, FLOAT, [None] * len(fixed)))
    return found


def _random_shapes(piece: onnx.ModelProto, num_half_frames: int) -> list[tuple[int, ...]]:
    """Shapes of what the random nodes give, in the graph's order."""
    import onnxruntime

    probe = onnx.ModelProto()
    probe.CopyFrom(piece)
    outputs = [node.output[0] for node in Graph(piece).of_type("RandomNormalLike", "RandomUniformLike")]
    probe.graph.output.extend(onnx.helper.make_tensor_value_info(name, FLOAT, None) for name in outputs)
    session = onnxruntime.InferenceSession(probe.SerializeToString(), providers=["CPUExecutionProvider"])
    f0 = np.ones((1, num_half_frames), np.float32)
    return [array.shape for array in session.run(outputs, {"f0": f0})] if outputs else []
