"""What the parts of the start take, by clocks that the test moves."""

import time
from contextlib import suppress

from firstaudio.clock import NS_PER_MS
from firstaudio.server.startup import PARTS, StartupTimings, born_at


def test_a_part_is_unknown_until_it_has_ended_and_also_ends_when_it_raises():
    now = [0]
    timings = StartupTimings(1_000.0, lambda: 1_000.5, lambda: now[0])
    assert timings.ms == {**dict.fromkeys(PARTS), "process": 500.0}
    with timings.part("encoders"):
        now[0] += 7 * NS_PER_MS
        assert timings.ms["encoders"] is None
    with suppress(ZeroDivisionError), timings.part("engines"):
        now[0] += 2 * NS_PER_MS
        raise ZeroDivisionError

    assert [timings.ms[part] for part in ("encoders", "engines", "warm_up")] == [7.0, 2.0, None]


def test_a_clock_that_was_set_back_makes_no_negative_time():
    assert StartupTimings(1_000.0, lambda: 900.0).ms["process"] == 0.0


def test_the_process_began_before_now():
    assert 0 < born_at() <= time.time() + 1
