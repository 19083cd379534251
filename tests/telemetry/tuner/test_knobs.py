"""Every knob can be turned, to values that are possible."""

import random

from firstaudio.config import StreamingConfig
from firstaudio.telemetry.tuner.knobs import KNOBS, differences


def test_every_knob_is_a_field_and_its_candidates_are_valid():
    rng = random.Random(1)
    for _ in range(300):
        low = rng.randint(1, 1000)
        streaming = StreamingConfig(
            min_chunk_size_ms=low,
            max_chunk_size_ms=rng.randint(2 * low, 10_000),
            target_buffer_ms=rng.randint(0, 10_000),
            first_segment_s=rng.uniform(0.2, 6),
            max_lead_s=rng.uniform(0.1, 3600),
            fast_path_enabled=rng.random() < 0.5,
        )
        for knob in KNOBS:
            for value in knob.candidates(streaming):
                assert knob.value(knob.turned(streaming, value)) == value != knob.value(streaming)


def test_a_difference_names_the_setting_and_both_values():
    configured = StreamingConfig(min_chunk_size_ms=400, max_chunk_size_ms=1000)
    now = StreamingConfig(min_chunk_size_ms=100, max_chunk_size_ms=1000)
    assert differences(configured, now) == (("streaming.min_chunk_size_ms", 400, 100),)
    assert differences(now, now) == ()
