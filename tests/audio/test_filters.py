import gc

import numpy as np

from firstaudio.audio.filters import FilterChain


def test_samples_go_through_all_filters() -> None:
    chain = FilterChain(24000, [("volume", "0.5"), ("volume", "0.25")])
    gc.collect()
    ramp = np.linspace(-1, 1, 5000, dtype=np.float32)
    out = np.concatenate([chain.push(ramp[:17]), chain.push(ramp[17:]), chain.finish()])
    assert np.allclose(out, ramp / 8)


def test_any_view_of_samples_is_taken() -> None:
    chain = FilterChain(24000, [("anull", "")])
    ramp = np.linspace(-1, 1, 5000, dtype=np.float32)
    assert np.array_equal(np.concatenate([chain.push(ramp[::-2]), chain.finish()]), ramp[::-2])


def test_nothing_gives_nothing() -> None:
    chain = FilterChain(24000, [("anull", "")])
    assert (len(chain.push(np.zeros(0, np.float32))), len(chain.finish())) == (0, 0)
