"""`RealTimeOptimizer`: watches, tries one setting at a time on part of the traffic, keeps what is better, says why.

    observing -> experimenting -> cooling down -> observing
                     |  harm: everyone has the present setting again at once
                     +- better: recommended, or with `tuner.apply` kept on probation: harm takes it back

What is kept holds for the life of this process: the configuration stays the only thing that outlives it, and the
decision names the line to put there.
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from firstaudio.clock import NS_PER_S, Clock, now_ns
from firstaudio.config import Config, StreamingConfig
from firstaudio.errors import ConflictError
from firstaudio.synthesis.synthesizer import Synthesizer
from firstaudio.synthesis.utterance import Utterance
from firstaudio.telemetry.measurement import Measurement
from firstaudio.telemetry.tuner.background import Background
from firstaudio.telemetry.tuner.decisions import Decision, DecisionLog
from firstaudio.telemetry.tuner.idle import IdleTraffic
from firstaudio.telemetry.tuner.knobs import differences, knob_of, toml
from firstaudio.telemetry.tuner.passes import Passes
from firstaudio.telemetry.tuner.proposal import MIN_ROWS, Nothing, Proposal, choose, propose, usable, wished
from firstaudio.telemetry.tuner.resting import Resting
from firstaudio.telemetry.tuner.status import State, TunerStatus
from firstaudio.telemetry.tuner.trial.experiment import ORIGINS, Experiment
from firstaudio.telemetry.tuner.trials import Trials
from firstaudio.telemetry.tuner.words import advice, worth_trying
from firstaudio.trace import Trace

logger = logging.getLogger(__name__)

NAME = "RealTimeOptimizer"
MAX_ROWS = 500  # measurements that a proposal looks at
NUM_RECENT = 20


class RealTimeOptimizer:
    """Tunes one synthesizer. `assign` and `observe` are called on the event loop and return at once.

    Args:
        config: The whole configuration.
        synthesizer: Whose settings it turns.
        wall_clock: Seconds since 1970, for the record only.
        clock: Monotonic ns.
        rng: Draws arms and texts.
    """

    def __init__(
        self,
        config: Config,
        synthesizer: Synthesizer,
        wall_clock: Callable[[], float] = time.time,
        clock: Clock = now_ns,
        rng: random.Random | None = None,
    ) -> None:
        self._config, self._synthesizer = config, synthesizer
        self._wall_clock, self._clock = wall_clock, clock
        rng = rng or random.Random()
        self._log = DecisionLog(None)
        self._background = Background(NAME)
        self._passes = Passes(self.optimize_system, config.tuner.interval_s, NAME)
        self._idle = IdleTraffic(synthesizer, self._needs_data, rng, clock)
        self._resting = Resting(self._now_s)
        self._trials = Trials(config.tuner, synthesizer, self._resting, self._record, self._now_s, wall_clock, rng)
        self._busy = threading.Lock()  # held for the length of one pass
        self._rows: deque[Measurement] = deque(maxlen=MAX_ROWS)
        self._rows_lock = threading.Lock()  # a thread may read while the loop observes
        self._remark = "it has just started"
        self._num_fast_path = 0
        if config.telemetry.enabled:
            synthesizer.assign = self.assign

    # What the server calls.

    async def start(self, folder: Path | None = None) -> None:
        """Read earlier decisions and begin to watch. Decisions lie in `folder`; None: in memory only."""
        self._log = DecisionLog(folder)
        await asyncio.to_thread(self._log.load)
        self._resting.remember(self._log.last(), self._wall_clock(), applies=self._config.tuner.apply)
        if not self._config.telemetry.enabled:
            self._remark = "no measurements are kept (telemetry.enabled is off)"
        elif not self._config.tuner.enabled:
            self._remark = "tuner.enabled is off"
        else:
            self._background.schedule(self._passes.run)
            if self._config.tuner.idle_traffic and self._config.streaming.max_streams > 1:  # else it has the only place
                self._background.schedule(self._idle.run)

    async def close(self) -> None:
        """Stop; an experiment that runs is abandoned."""
        await self._background.close()
        await self._trials.abandon("the server ended")

    def assign(self, utterance: Utterance, trace: Trace) -> StreamingConfig:  # noqa: ARG002 (the trace says enough)
        """The settings of a new utterance."""
        try:
            if trace.origin != "tuner":
                self._idle.make_way()
            streaming = self._trials.assign(trace)
        except Exception:  # speech does not depend on this
            logger.warning("%s could not assign an arm", NAME, exc_info=True)
            streaming = self._synthesizer.streaming
        self._num_fast_path += trace.origin == "client" and streaming.fast_path_enabled
        return streaming

    def observe(self, answer: Measurement) -> None:
        """An utterance has ended."""
        if answer.origin in ORIGINS:
            with self._rows_lock:
                self._rows.append(answer)
        if self._trials.observe(answer):
            self._passes.hurry()

    def status(self) -> TunerStatus:
        """How it stands; never blocks."""
        experiment, probation = self._trials.experiment, self._trials.probation
        return TunerStatus(
            state=self._state(),
            remark=self._remark,
            cool_down_s=self._trials.cool_down_s,
            experiment=experiment,
            progress=None if experiment is None else experiment.progress(self._now_s()),
            on_probation="" if probation is None else probation.setting,
            streaming=self._synthesizer.streaming,
            changed=differences(self._config.streaming, self._synthesizer.streaming),
            decisions=tuple(self._log.last(NUM_RECENT)),
            problem=self._log.problem,
            failure=self._passes.failure,
            num_fast_path=self._num_fast_path,
            num_spoken=self._idle.num_spoken,
        )

    def rows(self) -> list[Measurement]:
        """The last measurements of clients and of its own texts, the newest last."""
        with self._rows_lock:
            return list(self._rows)

    # What people call.

    def schedule_safely(self) -> bool:
        """Make one pass beside whoever asks: as a task where a loop runs, else in a daemon thread with its own loop.

        Never raises; an error in the pass is a warning in the log.
        """
        return self._background.schedule(self.optimize_system)

    def join(self, timeout_s: float | None = None) -> None:
        """Wait for passes that were scheduled where no loop was."""
        self._background.join(timeout_s)

    def trigger(self, setting: str | None = None, value: object = None) -> Experiment | str:
        """Begin an experiment now, whatever the cool-down says.

        Args:
            setting: What to turn; None leaves the choice to the tuner.
            value: What to try; the present value makes it an A/A, None takes the most promising one.

        Returns:
            The experiment that has begun, or why there is nothing to try.

        Raises:
            ConflictError: One runs already, or the tuner is off.
            RequestError: There is no such setting, or no such value.
        """
        self._require_on()
        self._trials.require_none()
        streaming = self._synthesizer.streaming
        if setting is not None:
            found = wished(knob_of(setting), value, streaming)
        else:
            found = choose(self.rows(), streaming, self._resting.tried())
        self._remark = found.reason
        return found.reason if isinstance(found, Nothing) else self._trials.begin(found)

    async def reset(self) -> Decision | None:
        """Go back to the configured settings, end the experiment; None where nothing was different."""
        return await self._trials.reset(self._config.streaming)

    async def optimize_system(self) -> Decision | None:
        """One pass: judge the experiment that runs if a look is due, else begin one if one is worth it.

        At most one pass at a time; another one returns None at once. Statistics run in a thread.
        """
        if not self._busy.acquire(blocking=False):
            return None
        try:
            if (decision := await self._trials.judge()) is not None:
                return decision
            if self._is_on and self._trials.is_idle:
                await self._consider()
            return None
        finally:
            self._busy.release()

    async def _consider(self) -> None:
        """Begin what is worth trying, or say what is."""
        found = await asyncio.to_thread(propose, self.rows(), self._synthesizer.streaming, self._resting.tried())
        self._remark = found.reason
        if not isinstance(found, Proposal) or self._trials.experiment is not None:
            return
        if self._may_experiment:
            self._trials.begin(found)
        else:
            self._remark = worth_trying(found)

    async def _record(self, decision: Decision) -> None:
        level = logging.WARNING if decision.action in ("stopped", "rolled_back") else logging.INFO
        logger.log(
            level,
            "tuner action=%s setting=%s from=%s to=%s: %s%s",
            decision.action,
            decision.setting,
            toml(decision.current),
            toml(decision.candidate),
            decision.sentence,
            advice(decision),
        )
        self._remark = f"{decision.setting}: {decision.action}"
        await asyncio.to_thread(self._log.append, decision)

    def _needs_data(self) -> bool:
        """Whether own texts would teach anything."""
        if (experiment := self._trials.experiment) is not None:
            return not experiment.harm
        return len(usable(self.rows())) < MIN_ROWS

    # Where it stands.

    @property
    def _is_on(self) -> bool:
        return self._config.tuner.enabled and self._config.telemetry.enabled

    @property
    def _may_experiment(self) -> bool:
        """Whether it may give listeners another setting without being asked."""
        tuner = self._config.tuner
        return tuner.experiment or tuner.apply or tuner.idle_traffic

    def _require_on(self) -> None:
        if not self._is_on:
            name = "telemetry.enabled" if self._config.tuner.enabled else "tuner.enabled"
            raise ConflictError(f"the tuner is off; switch {name} on and restart the server")

    def _state(self) -> State:
        if not self._is_on:
            return "off"
        if self._trials.experiment is not None:
            return "experimenting"
        return "cooling_down" if self._trials.cool_down_s else "observing"

    def _now_s(self) -> float:
        return self._clock() / NS_PER_S
