"""Passes come at their interval, at once where something is due, and later after failures."""

import asyncio

from firstaudio.telemetry.tuner.passes import MAX_BACK_OFF, Passes


async def test_failures_make_passes_slower_and_never_stop_them(monkeypatch, caplog):
    waited, outcomes = [], iter([False, False, True, False])
    ended = asyncio.Event()

    async def pause(seconds, *, wakes):
        waited.append((seconds, wakes))

    async def make():
        if (succeeds := next(outcomes, None)) is None:
            ended.set()
            await asyncio.Event().wait()
        if not succeeds:
            raise RuntimeError("broken")

    passes = Passes(make, 10.0, "the tuner")
    monkeypatch.setattr(passes, "_pause", pause)
    task = asyncio.create_task(passes.run())
    await ended.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert waited == [(10.0, True), (20.0, False), (40.0, False), (10.0, True), (20.0, False)]
    assert passes.failure == "RuntimeError('broken')"
    assert "the tuner failed, it goes on later" in caplog.text


async def test_the_pause_after_many_failures_has_an_end(monkeypatch):
    waited = []

    async def pause(seconds, *, wakes):
        waited.append(seconds)
        if len(waited) == 12:
            raise asyncio.CancelledError

    async def make():
        raise RuntimeError("broken")

    passes = Passes(make, 1.0, "the tuner")
    monkeypatch.setattr(passes, "_pause", pause)
    await asyncio.gather(passes.run(), return_exceptions=True)
    assert waited[-1] == MAX_BACK_OFF == max(waited)


async def test_what_is_due_is_not_waited_for_from_any_thread_and_even_before_the_first_pass():
    made: asyncio.Queue[int] = asyncio.Queue()

    async def make():
        made.put_nowait(1)

    passes = Passes(make, 3600.0, "the tuner")
    passes.hurry()
    task = asyncio.create_task(passes.run())
    await made.get()
    await asyncio.to_thread(passes.hurry)
    await made.get()
    passes.hurry()
    await made.get()
    assert made.empty()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    passes.hurry()  # nobody hears it, and nothing breaks


async def test_without_anything_due_the_interval_ends_the_pause():
    made = asyncio.Event()

    async def make():
        made.set()

    task = asyncio.create_task(Passes(make, 0.0, "the tuner").run())
    await made.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
