"""Builds a model of Kokoro-82M's shape with seeded random weights: the arithmetic of the real one, none of its sound.

A program of its own, for an environment that has torch and the `kokoro` package and not necessarily this one:
`python shape_model.py FOLDER [--size full|tiny] [--dialect tokens|input_ids|int_speed] [--seed N]`. It writes
`model.onnx` and `voices.bin`. "full" has the published sizes, "tiny" the same topology with small widths, for tests.

Source of the sizes: `config.json` of hexgrad/Kokoro-82M (Apache-2.0).
"""

from __future__ import annotations

import argparse
import json
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NUM_TOKENS = 178
MAX_TOKENS = 510
SYMBOLS = [chr(97 + index % 26) for index in range(NUM_TOKENS)]  # the module wants a table; nothing here reads it
MODEL_FILE, VOICES_FILE = "model.onnx", "voices.bin"
VOICES = ("af_heart", "af_bella", "am_michael", "bf_emma", "bm_george", "ef_dora", "ff_siwis")
FRAMES_PER_TOKEN = 3.0  # 13 tokens a second, as real voices speak
F0_HZ, F0_SPREAD_HZ = 160.0, 70.0
OUTPUT_LEVEL = 0.1  # root mean square
DRIFTING = 8  # columns of a style that differ from row to row; few, so that the file packs well


@dataclass(frozen=True)
class Size:
    """Widths that differ between the real model and a tiny one of the same topology."""

    hidden: int
    style: int
    bert: int
    heads: int
    intermediate: int
    bert_layers: int
    decoder: int
    residual: int
    upsampled: int


FULL = Size(512, 128, 768, 12, 2048, 12, 1024, 64, 512)
TINY = Size(16, 128, 24, 2, 32, 1, 24, 4, 16)
SIZES = {"full": FULL, "tiny": TINY}

# Names and types of the inputs and outputs of the public exports.
DIALECTS = {
    "tokens": {"names": ["tokens", "style", "speed"], "outputs": ["audio"], "int_speed": False},
    "input_ids": {"names": ["input_ids", "style", "speed"], "outputs": ["waveform", "duration"], "int_speed": False},
    "int_speed": {"names": ["input_ids", "style", "speed"], "outputs": ["waveform"], "int_speed": True},
}


def build(folder: Path, size: Size, dialect: str, seed: int) -> None:
    """Write `model.onnx` and `voices.bin` into `folder`."""
    import torch

    torch.manual_seed(seed)
    model = _network(size).eval()
    _calibrate(model, size)
    folder.mkdir(parents=True, exist_ok=True)
    _export(model, folder / MODEL_FILE, DIALECTS[dialect])
    _write_voices(folder / VOICES_FILE, size, seed)


def _network(size: Size) -> Any:
    """The published network with our widths. The weights file that its constructor wants is an empty one."""
    import torch
    from kokoro import istftnet
    from kokoro.model import KModel
    from torch import nn
    from torch.nn.utils import weight_norm

    block, generator = istftnet.AdainResBlk1d, istftnet.Generator

    def decoder_init(self: Any, dim_in: int, style_dim: int, dim_out: int, disable_complex: bool, **istft: Any) -> None:
        """`istftnet.Decoder.__init__` with widths that are not fixed."""
        del dim_out
        nn.Module.__init__(self)
        inner = size.decoder + 2 + size.residual
        self.encode = block(dim_in + 2, size.decoder, style_dim)
        self.decode = nn.ModuleList([block(inner, size.decoder, style_dim) for _ in range(3)])
        self.decode.append(block(inner, size.upsampled, style_dim, upsample=True))
        self.F0_conv = weight_norm(nn.Conv1d(1, 1, kernel_size=3, stride=2, padding=1))
        self.N_conv = weight_norm(nn.Conv1d(1, 1, kernel_size=3, stride=2, padding=1))
        self.asr_res = nn.Sequential(weight_norm(nn.Conv1d(dim_in, size.residual, kernel_size=1)))
        self.generator = generator(style_dim, disable_complex=disable_complex, **istft)

    istftnet.Decoder.__init__ = decoder_init
    with tempfile.TemporaryDirectory() as folder:
        empty = Path(folder, "empty.pth")
        torch.save({}, empty)
        config = {
            "istftnet": {
                "upsample_kernel_sizes": [20, 12],
                "upsample_rates": [10, 6],
                "gen_istft_hop_size": 5,
                "gen_istft_n_fft": 20,
                "resblock_dilation_sizes": [[1, 3, 5]] * 3,
                "resblock_kernel_sizes": [3, 7, 11],
                "upsample_initial_channel": size.upsampled,
            },
            "dropout": 0.2,
            "hidden_dim": size.hidden,
            "max_dur": 50,
            "n_layer": 3,
            "n_mels": 80,
            "n_token": NUM_TOKENS,
            "style_dim": size.style,
            "text_encoder_kernel_size": 5,
            "plbert": {
                "hidden_size": size.bert,
                "num_attention_heads": size.heads,
                "intermediate_size": size.intermediate,
                "max_position_embeddings": MAX_TOKENS + 2,
                "num_hidden_layers": size.bert_layers,
                "dropout": 0.1,
                "embedding_size": min(128, size.bert),
            },
            "vocab": {symbol: index for index, symbol in enumerate(SYMBOLS)},
        }
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return KModel("hexgrad/Kokoro-82M", config=config, model=str(empty), disable_complex=True)


def _calibrate(model: Any, size: Size) -> None:
    """Bring durations, F0 and level to what speech has; random weights would say nothing, or shout."""
    import torch

    with torch.no_grad():
        projection = model.predictor.duration_proj.linear_layer
        share = FRAMES_PER_TOKEN / projection.out_features
        projection.bias.fill_(float(torch.logit(torch.tensor(share))))
        projection.weight.mul_(3.0)
        ids = torch.randint(1, NUM_TOKENS, (1, 60))
        style = torch.randn(1, 2 * size.style) * 0.3
        seen: dict[str, Any] = {}
        hooks = [
            model.predictor.F0_proj.register_forward_hook(lambda _m, _i, out: seen.update(f0=out)),
            model.decoder.generator.conv_post.register_forward_hook(lambda _m, _i, out: seen.update(post=out)),
        ]
        for _ in range(5):  # the mean of a sigmoid is not the sigmoid of the mean
            _audio, durations = model.forward_with_tokens(ids, style, 1.0)
            projection.bias += float(torch.log(FRAMES_PER_TOKEN / durations.float().mean()))
        model.forward_with_tokens(ids, style, 1.0)
        f0 = model.predictor.F0_proj
        scale = F0_SPREAD_HZ / float(seen["f0"].std())
        f0.weight.mul_(scale)
        f0.bias.copy_(F0_HZ + (f0.bias - seen["f0"].mean()) * scale)
        post = model.decoder.generator.conv_post
        num_bins = post.out_channels // 2
        spread = seen["post"].std(dim=2, keepdim=True).mean()
        post.weight_g.div_(spread / 0.7)
        for _ in range(3):
            audio, _durations = model.forward_with_tokens(ids, style, 1.0)
            post.bias[:num_bins] += float(torch.log(OUTPUT_LEVEL / audio.std()))
        for hook in hooks:
            hook.remove()


def _export(model: Any, path: Path, dialect: dict[str, Any]) -> None:
    import torch

    class Exported(torch.nn.Module):  # type: ignore[misc] # no types here to subclass
        def __init__(self) -> None:
            super().__init__()
            self.inner = model

        def forward(self, tokens: Any, style: Any, speed: Any) -> Any:
            audio, durations = self.inner.forward_with_tokens(tokens, style, speed.to(torch.float32))
            return (audio, durations) if len(dialect["outputs"]) > 1 else audio

    speed = torch.ones(1, dtype=torch.int32 if dialect["int_speed"] else torch.float32)
    example = (torch.randint(1, NUM_TOKENS, (1, 12)), torch.zeros(1, 256), speed)
    tokens = dialect["names"][0]
    axes = {tokens: {1: "num_tokens"}, dialect["outputs"][0]: {0: "num_samples"}}
    if len(dialect["outputs"]) > 1:
        axes[dialect["outputs"][1]] = {0: "num_tokens"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Exported().eval(),
            example,
            str(path),
            input_names=dialect["names"],
            output_names=dialect["outputs"],
            dynamic_axes=axes,
            opset_version=17,
            dynamo=False,
        )


def _write_voices(path: Path, size: Size, seed: int) -> None:
    """One style row per number of tokens and voice; rows of one voice differ a little, as the real ones do."""
    import numpy as np

    random = np.random.default_rng(seed)
    voices = {}
    for name in VOICES:
        base = random.normal(0, 0.3, (1, 1, 2 * size.style))
        drift = np.linspace(-1, 1, MAX_TOKENS)[:, None, None] * (np.arange(2 * size.style) < DRIFTING) * 0.1
        voices[name] = (base + drift).astype(np.float32)
    with path.open("wb") as file:
        np.savez_compressed(file, **voices)  # type: ignore[arg-type] # numpy's types take the arrays for its flag


def main() -> None:
    """Entry point of the program."""
    parser = argparse.ArgumentParser(description="build a model of Kokoro's shape with random weights")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", choices=SIZES, default="full")
    parser.add_argument("--dialect", choices=DIALECTS, default="tokens")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    build(arguments.folder, SIZES[arguments.size], arguments.dialect, arguments.seed)
    print(json.dumps({"model": str(arguments.folder / MODEL_FILE), "voices": str(arguments.folder / VOICES_FILE)}))


if __name__ == "__main__":
    main()
