"""What Kokoro-FastAPI needs to speak with the shape model. Runs with the peer's own Python (torch, kokoro).

python prepare_kokoro_fastapi.py SHAPE_MODEL.PY VOICES CONFIG.JSON FOLDER

Writes into FOLDER: `models/v1_0/` (the same seeded weights as the ONNX file's, as torch keeps them, and its config),
`voices/`, and `packages/`, to be put on PYTHONPATH: a stand-in for spaCy's English model, which is not on the package
index. It calls every word a noun, in no time: the text front end is faster with it than with the real one.
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

STAND_IN = """
import spacy
from spacy.language import Language

@Language.component("every_word_is_a_noun")
def every_word_is_a_noun(doc):
    for token in doc:
        token.tag_ = "NN" if token.is_alpha else "CD" if token.like_num else token.text if token.text in ".,:" else "."
    return doc

def load(**_):
    nlp = spacy.blank("en")
    nlp.add_pipe("every_word_is_a_noun")
    return nlp
"""
ITS_METADATA = "Metadata-Version: 2.1\nName: en_core_web_sm\nVersion: 3.8.0\n"


def write_weights(program: Any, path: Path, seed: int = 0) -> None:
    """Torch's own STFT has no weights; those of the exported one would keep the file from being loaded at all."""
    torch.manual_seed(seed)
    model = program._network(program.FULL).eval()
    program._calibrate(model, program.FULL)
    weights = {
        name: {key: value for key, value in part.state_dict().items() if ".stft." not in key}
        for name, part in model.named_children()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(weights, path)


def write_voices(voices: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, style in np.load(voices).items():
        torch.save(torch.from_numpy(style), folder / f"{name}.pt")


def write_stand_in(folder: Path) -> None:
    package, about = folder / "en_core_web_sm", folder / "en_core_web_sm-3.8.0.dist-info"
    package.mkdir(parents=True, exist_ok=True)
    about.mkdir(exist_ok=True)
    (package / "__init__.py").write_text(STAND_IN)
    (about / "METADATA").write_text(ITS_METADATA)


def load_program(path: str) -> Any:
    spec = importlib.util.spec_from_file_location("shape_model", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["shape_model"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def main() -> None:
    program, voices, config, folder = sys.argv[1], *map(Path, sys.argv[2:5])
    if (folder / "done").exists():
        return
    write_weights(load_program(program), folder / "models" / "v1_0" / "kokoro-v1_0.pth")
    shutil.copyfile(config, folder / "models" / "v1_0" / "config.json")
    write_voices(voices, folder / "voices")
    write_stand_in(folder / "packages")
    (folder / "done").touch()


if __name__ == "__main__":
    main()
