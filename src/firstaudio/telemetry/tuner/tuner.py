"""`RealTimeOptimizer`: watches, tries one setting at a time on part of the traffic, keeps what is better, says why.

    observing -> experimenting -> cooling down -> observing
                     |  harm: everyone has the present setting again at once
                     +- better: recommended, or with `tuner.apply` kept on probation: harm takes it back

What is kept holds for the life of this process: the configuration stays the only thing that outlives it, and the
decision names the line to put there.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from firstaudio.clock import NS_PER_S, Clock, now_ns
from firstaudio.config import Config, StreamingConfig
from firstaudio.errors import ConflictError
from firstaudio.synthesis.synthesizer import Synthesizer
from firstaudio.synthesis.utterance import Utterance
from firstaudio.telemetry.measurement import Measurement
from firstaudio.telemetry.tuner.background import Background
from firstaudio.telemetry.tuner.decisions import Action, Decision, DecisionLog
from firstaudio.telemetry.tuner.idle import IdleTraffic
from firstaudio.telemetry.tuner.knobs import KNOBS, Knob, Value, knob_of
from firstaudio.telemetry.tuner.proposal import MIN_ROWS, Nothing, Proposal, first_open, propose, usable
from firstaudio.telemetry.tuner.trial.experiment import ORIGINS, Experiment, Look, Plan
from firstaudio.telemetry.tuner.trial.probation import Probation
from firstaudio.telemetry.tuner.trial.verdict import Verdict
from firstaudio.trace import Trace

logger = logging.getLogger(__name__)

NAME = "RealTimeOptimizer"
MAX_ROWS = 500  # measurements that a proposal looks at
REST_S = 86_400.0  # before a value that was judged is tried again
UNDECIDED_REST_S = 3600.0  # before one that found too little traffic is
MAX_BACK_OFF = 64  # times the interval, after failures of its own
NUM_RECENT = 20

State = Literal["off", "observing", "experimenting", "cooling_down"]


@dataclass(frozen=True, slots=True)
class TunerStatus:
    """How the tuner stands.

    Attributes:
        state: "off" where `tuner.enabled` is.
        remark: Why it is doing what it does.
        cool_down_s: Until it may begin another experiment, in seconds.
        experiment: The one that runs.
        progress: How much of what it may take it has taken, 0..1; None where none runs.
        on_probation: What was kept and is watched still; empty: nothing.
        streaming: What holds for new utterances outside an experiment.
        changed: Settings that are not as configured: (setting, configured, now).
        decisions: The newest first.
        problem: Why decisions are not kept on disk; empty where they are.
        failure: What went wrong in the tuner itself last time; empty: nothing.
        num_fast_path: Utterances of clients that began with a short first segment.
        num_spoken: Texts of its own.
    """

    state: State
    remark: str
    cool_down_s: float
    experiment: Experiment | None
    progress: float | None
    on_probation: str
    streaming: StreamingConfig
    changed: tuple[tuple[str, Value, Value], ...]
    decisions: tuple[Decision, ...]
    problem: str
    failure: str
    num_fast_path: int
    num_spoken: int


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
        self._wall_clock, self._clock, self._rng = wall_clock, clock, rng or random.Random()
        self._log = DecisionLog(None)
        self._background = Background(NAME)
        self._idle = IdleTraffic(synthesizer, self._needs_data, self._rng, clock)
        self._lock = threading.Lock()  # held for moments: a thread may optimise while the loop observes
        self._busy = threading.Lock()  # held for the length of one pass
        self._rows: deque[Measurement] = deque(maxlen=MAX_ROWS)
        self._tried: dict[tuple[str, Value, Value], float] = {}  # until when each rests, monotonic
        self._experiment: Experiment | None = None
        self._probation: Probation | None = None
        self._rest_until_s = 0.0
        self._remark = "it has just started"
        self._failure = ""
        self._num_fast_path = self._num_experiments = 0
        self._wake: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        if config.telemetry.enabled:
            synthesizer.assign = self.assign

    # What the server calls.

    async def start(self, folder: Path | None = None) -> None:
        """Read earlier decisions and begin to watch. Decisions lie in `folder`; None: in memory only."""
        self._log = DecisionLog(folder)
        await asyncio.to_thread(self._log.load)
        self._remember(self._log.last())
        self._loop, self._wake = asyncio.get_running_loop(), asyncio.Event()
        if not self._config.telemetry.enabled:
            self._remark = "no measurements are kept (telemetry.enabled is off)"
        elif not self._config.tuner.enabled:
            self._remark = "tuner.enabled is off"
        else:
            self._background.schedule(self._run)
            if self._config.tuner.idle_traffic and self._config.streaming.max_streams > 1:  # else it has the only place
                self._background.schedule(self._idle.run)

    async def close(self) -> None:
        """Stop; an experiment that runs is abandoned."""
        await self._background.close()
        self._wake = self._loop = None
        if self._experiment is not None:
            await self._end(self._experiment, "abandoned", "", "the server ended")

    def assign(self, utterance: Utterance, trace: Trace) -> StreamingConfig:  # noqa: ARG002 (the trace says enough)
        """The settings of a new utterance."""
        try:
            if trace.origin != "tuner":
                self._idle.make_way()
            streaming = self._assign(trace)
        except Exception:  # speech does not depend on this
            logger.warning("%s could not assign an arm", NAME, exc_info=True)
            streaming = self._synthesizer.streaming
        self._num_fast_path += trace.origin == "client" and streaming.fast_path_enabled
        return streaming

    def observe(self, answer: Measurement) -> None:
        """An utterance has ended."""
        with self._lock:
            if answer.origin in ORIGINS:
                self._rows.append(answer)
            if self._experiment is not None:
                self._experiment.record(answer)
            if self._probation is not None:
                self._probation.record(answer)
            urgent = self._is_due()
        if urgent:
            self._wake_up()

    def status(self) -> TunerStatus:
        """How it stands; never blocks."""
        experiment, now_s = self._experiment, self._now_s()
        return TunerStatus(
            state=self._state(now_s),
            remark=self._remark,
            cool_down_s=max(0.0, self._rest_until_s - now_s),
            experiment=experiment,
            progress=None if experiment is None else experiment.progress(now_s),
            on_probation="" if self._probation is None else self._probation.setting,
            streaming=self._synthesizer.streaming,
            changed=self._changed(),
            decisions=tuple(self._log.last(NUM_RECENT)),
            problem=self._log.problem,
            failure=self._failure,
            num_fast_path=self._num_fast_path,
            num_spoken=self._idle.num_spoken,
        )

    def rows(self) -> list[Measurement]:
        """The last measurements of clients and of its own texts, the newest last."""
        with self._lock:
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
        self._require_none()
        found = self._wished(knob_of(setting), value) if setting is not None else self._choice()
        if isinstance(found, Nothing):
            self._remark = found.reason
            return found.reason
        return self._begin(found)

    async def reset(self) -> Decision | None:
        """Go back to the configured settings, end the experiment; None where nothing was different."""
        changed = self._changed()
        if self._experiment is not None:
            await self._end(self._experiment, "abandoned", "", "reset on demand")
        self._synthesizer.streaming, self._probation = self._config.streaming, None
        if not changed:
            return None
        told = ", ".join(f"{setting} = {_toml(configured)}" for setting, configured, _ in changed)
        setting, configured, kept = changed[0]
        decision = Decision(
            self._wall_clock(), "", setting, configured, kept, "reset", "", f"back to what is configured: {told}"
        )
        await self._record(decision)
        return decision

    async def optimize_system(self) -> Decision | None:
        """One pass: judge the experiment that runs if a look is due, else begin one if one is worth it.

        At most one pass at a time; another one returns None at once. Statistics run in a thread.
        """
        if not self._busy.acquire(blocking=False):
            return None
        try:
            if self._probation is not None and (decision := await self._watch(self._probation)):
                return decision
            if self._experiment is not None:
                return await self._look(self._experiment)
            if self._now_s() >= self._rest_until_s and self._is_on and self._probation is None:
                await self._consider()
            return None
        finally:
            self._busy.release()

    # One pass.

    async def _run(self) -> None:
        """Pass after pass; its own failures make it slower, never stop it."""
        failures = 0
        while True:
            await self._pause(self._config.tuner.interval_s * min(MAX_BACK_OFF, 2**failures), wakes=not failures)
            try:
                await self.optimize_system()
            except Exception as error:  # the boundary of this task
                failures += 1
                self._failure = repr(error)
                logger.warning("%s failed, it goes on later", NAME, exc_info=True)
            else:
                failures = 0

    async def _pause(self, seconds: float, *, wakes: bool) -> None:
        """Wait until it is time, or, where that `wakes`, until something is due."""
        if not wakes:
            await asyncio.sleep(seconds)
            return
        assert self._wake is not None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):  # 3.11's wait_for may lose a cancellation
                await self._wake.wait()
        self._wake.clear()

    async def _consider(self) -> None:
        found = await asyncio.to_thread(propose, self.rows(), self._synthesizer.streaming, self._resting())
        self._remark = found.reason
        if not isinstance(found, Proposal) or self._experiment is not None:
            return
        if self._may_experiment:
            self._begin(found)
        else:
            self._remark = _worth_trying(found)

    async def _look(self, experiment: Experiment) -> Decision | None:
        with self._lock:
            look = experiment.due(self._now_s())
            if experiment.harm:
                look = look or Look(alpha=1.0, is_last=True)
            judgement = None if look is None else experiment.take(look)
        if judgement is None or look is None:
            return None
        if experiment.harm:
            return await self._end(experiment, "stopped", "harmful", experiment.harm)
        try:
            verdict = await asyncio.to_thread(judgement)
        except Exception as error:  # nobody may be left with an arm that is never judged
            await self._end(experiment, "abandoned", "", f"it could not be judged: {error!r}")
            raise
        if self._experiment is not experiment or not (look.is_last or verdict.name != "inconclusive"):
            return None  # somebody has ended it meanwhile, or it goes on
        return await self._conclude(experiment, verdict)

    async def _conclude(self, experiment: Experiment, verdict: Verdict) -> Decision | None:
        action: Action = "left"
        if verdict.name == "better" and experiment.value != experiment.current:
            action = "kept" if self._config.tuner.apply else "recommended"
        return await self._end(experiment, action, verdict.name, verdict.sentence, verdict)

    async def _end(
        self, experiment: Experiment, action: Action, name: str, sentence: str, verdict: Verdict | None = None
    ) -> Decision | None:
        """End an experiment with a decision."""
        with self._lock:
            if self._experiment is not experiment:
                return None
            self._experiment = None
            self._rest_until_s = self._now_s() + self._config.tuner.cool_down_s
            if action != "abandoned":
                self._rest(experiment, UNDECIDED_REST_S if name == "inconclusive" else REST_S, action)
            if action == "kept":
                self._keep(experiment)
        evidence = _evidence(experiment, verdict)
        decision = Decision(
            self._wall_clock(),
            experiment.id,
            experiment.knob.setting,
            experiment.current,
            experiment.value,
            action,
            name,
            sentence,
            evidence,
        )
        await self._record(decision)
        return decision

    def _rest(self, experiment: Experiment, rest_s: float, action: Action) -> None:
        """Let what was tried rest; with a gain that is not applied also what else this setting could be."""
        knob = experiment.knob
        values = [experiment.value, *(knob.candidates(experiment.base) if action == "recommended" else ())]
        for value in values:
            self._tried[knob.setting, experiment.current, value] = self._now_s() + rest_s

    def _keep(self, experiment: Experiment) -> None:
        before = self._synthesizer.streaming
        self._synthesizer.streaming = experiment.candidate
        self._probation = Probation(experiment, before)

    async def _watch(self, probation: Probation) -> Decision | None:
        """Take back what does harm; stop watching what has done none."""
        if probation.is_over:
            self._probation = None
        if not probation.harm:
            return None
        self._probation = None
        self._synthesizer.streaming = probation.before
        experiment = probation.experiment
        decision = Decision(
            self._wall_clock(),
            experiment.id,
            experiment.knob.setting,
            experiment.current,
            experiment.value,
            "rolled_back",
            "harmful",
            probation.harm,
            probation.evidence(),
        )
        await self._record(decision)
        return decision

    async def _record(self, decision: Decision) -> None:
        level = logging.WARNING if decision.action in ("stopped", "rolled_back") else logging.INFO
        logger.log(
            level,
            "tuner action=%s setting=%s from=%s to=%s: %s%s",
            decision.action,
            decision.setting,
            _toml(decision.current),
            _toml(decision.candidate),
            decision.sentence,
            advice(decision),
        )
        self._remark = f"{decision.setting}: {decision.action}"
        await asyncio.to_thread(self._log.append, decision)

    # Experiments.

    def _assign(self, trace: Trace) -> StreamingConfig:
        with self._lock:
            if self._experiment is None:
                return self._synthesizer.streaming
            return self._experiment.assign(trace, self._now_s())

    def _begin(self, proposal: Proposal) -> Experiment:
        with self._lock:
            self._num_experiments += 1
        at = self._wall_clock()
        experiment = Experiment(
            id=f"x{int(at)}-{self._num_experiments}",
            knob=proposal.knob,
            base=self._synthesizer.streaming,
            value=proposal.value,
            plan=Plan(self._config.tuner.max_pairs, self._config.tuner.max_experiment_s),
            reason=proposal.reason,
            begun_s=self._now_s(),
            begun_at=at,
            rng=self._rng,
        )
        with self._lock:
            self._require_none()
            self._experiment = experiment
            self._probation = None  # one thing at a time: arm A of the experiment is what was kept
        self._remark = proposal.reason
        logger.info(
            "tuner experiment=%s setting=%s from=%s to=%s: %s",
            experiment.id,
            proposal.knob.setting,
            _toml(experiment.current),
            _toml(experiment.value),
            proposal.reason,
        )
        return experiment

    def _choice(self) -> Proposal | Nothing:
        """The tuner's own choice, and without a symptom the first thing that was not tried."""
        found = propose(self.rows(), self._synthesizer.streaming, self._resting())
        return found if isinstance(found, Proposal) else first_open(self._synthesizer.streaming, self._resting())

    def _wished(self, knob: Knob, value: object) -> Proposal | Nothing:
        streaming = self._synthesizer.streaming
        if value is not None:
            return Proposal(knob, knob.checked(streaming, value)[0], f"asked for; {knob.why}")
        values = knob.candidates(streaming)
        if not values:
            return Nothing(f"{knob.setting} stands at {_toml(knob.value(streaming))}, where nothing better is known")
        return Proposal(knob, values[0], f"asked for; {knob.why}")

    def _resting(self) -> frozenset[tuple[str, Value, Value]]:
        """What was tried not long ago."""
        with self._lock:
            now_s = self._now_s()
            self._tried = {key: until_s for key, until_s in self._tried.items() if now_s < until_s}
            return frozenset(self._tried)

    def _remember(self, decisions: list[Decision]) -> None:
        """Let rest what an earlier server found to be no gain; what it kept has to be found again."""
        settled = {"left", "stopped", "rolled_back"} | (set() if self._config.tuner.apply else {"recommended"})
        for decision in decisions:
            age_s = self._wall_clock() - decision.at
            rest_s = UNDECIDED_REST_S if decision.verdict == "inconclusive" else REST_S
            if decision.action in settled and 0 <= age_s < rest_s:
                key = (decision.setting, decision.current, decision.candidate)
                self._tried.setdefault(key, self._now_s() + rest_s - age_s)

    def _needs_data(self) -> bool:
        """Whether own texts would teach anything."""
        if self._experiment is not None:
            return not self._experiment.harm
        return len(usable(self.rows())) < MIN_ROWS

    def _is_due(self) -> bool:
        experiment, probation = self._experiment, self._probation
        if probation is not None and (probation.harm or probation.is_over):
            return True
        return experiment is not None and bool(experiment.harm or experiment.due(self._now_s()))

    def _wake_up(self) -> None:
        if self._wake is not None and self._loop is not None:
            self._loop.call_soon_threadsafe(self._wake.set)

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

    def _require_none(self) -> None:
        if (running := self._experiment) is not None:
            raise ConflictError(
                f"experiment {running.id} with {running.knob.setting} is running; "
                "GET /benchmarks/optimization/status shows how far it is"
            )

    def _state(self, now_s: float) -> State:
        if not self._is_on:
            return "off"
        if self._experiment is not None:
            return "experimenting"
        return "cooling_down" if now_s < self._rest_until_s else "observing"

    def _changed(self) -> tuple[tuple[str, Value, Value], ...]:
        configured, now = self._config.streaming, self._synthesizer.streaming
        knobs: dict[str, Knob] = {knob.setting: knob for knob in KNOBS}
        return tuple(
            (setting, knob.value(configured), knob.value(now))
            for setting, knob in knobs.items()
            if knob.value(configured) != knob.value(now)
        )

    def _now_s(self) -> float:
        return self._clock() / NS_PER_S


def _worth_trying(found: Proposal) -> str:
    return (
        f"worth trying: {found.knob.setting} = {_toml(found.value)}, because {found.reason}; "
        "POST /benchmarks/optimization/trigger tries it, with tuner.experiment the tuner does so by itself"
    )


def advice(decision: Decision) -> str:
    """What to do with a decision, as the end of a sentence; empty where there is nothing."""
    if decision.action not in ("recommended", "kept"):
        return ""
    line = f"{decision.setting} = {_toml(decision.candidate)}"
    return f"; put {line} into the configuration" + (" to keep it over a restart" * (decision.action == "kept"))


def _evidence(experiment: Experiment, verdict: Verdict | None) -> dict[str, Any]:
    counts = {arm: asdict(counts) for arm, counts in experiment.counts.items()}
    found = {"counts": counts} if verdict is None else verdict.evidence()
    return {
        "reason": experiment.reason,
        "begun_at": experiment.begun_at,
        "num_rounds": experiment.num_rounds,
        "num_answers": experiment.num_answers,
        "num_looks": experiment.num_looks,
        "unit": experiment.knob.unit,
        **found,
    }


def _toml(value: Value) -> str:
    return str(value).lower()
