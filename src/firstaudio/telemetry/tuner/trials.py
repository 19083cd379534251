"""`Trials`: the experiment that runs, and what was kept and is watched still: begun, fed, judged, ended.

One thing at a time: while an experiment runs nothing is on probation, because its arm A is what was kept.
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

from firstaudio.config import StreamingConfig, TunerConfig
from firstaudio.errors import ConflictError
from firstaudio.synthesis.synthesizer import Synthesizer
from firstaudio.telemetry.measurement import Measurement
from firstaudio.telemetry.tuner.decisions import Action, Decision
from firstaudio.telemetry.tuner.knobs import differences, toml
from firstaudio.telemetry.tuner.proposal import Proposal
from firstaudio.telemetry.tuner.resting import Resting
from firstaudio.telemetry.tuner.trial.experiment import Experiment, Judgement, Plan
from firstaudio.telemetry.tuner.trial.probation import Probation
from firstaudio.telemetry.tuner.trial.verdict import Verdict
from firstaudio.trace import Trace

logger = logging.getLogger(__name__)


class Trials:
    """`assign` and `observe` are called on the event loop and return at once; the rest by whatever thread tunes.

    Args:
        config: Of the tuner.
        synthesizer: Whose settings are turned.
        resting: Learns what was tried.
        record: Keeps a decision.
        now_s: Monotonic.
        wall_clock: Seconds since 1970, for the record only.
        rng: Draws arms.

    Attributes:
        experiment: The one that runs; set here alone.
        probation: What was kept and is watched still; set here alone.
    """

    def __init__(
        self,
        config: TunerConfig,
        synthesizer: Synthesizer,
        resting: Resting,
        record: Callable[[Decision], Awaitable[None]],
        now_s: Callable[[], float],
        wall_clock: Callable[[], float],
        rng: random.Random,
    ) -> None:
        self._config, self._synthesizer, self._resting, self._record = config, synthesizer, resting, record
        self._now_s, self._wall_clock, self._rng = now_s, wall_clock, rng
        self._lock = threading.Lock()  # held for moments: a thread may judge while the loop observes
        self._rest_until_s = 0.0
        self._num_begun = 0
        self.experiment: Experiment | None = None
        self.probation: Probation | None = None

    @property
    def cool_down_s(self) -> float:
        """Until another experiment may begin unasked."""
        return max(0.0, self._rest_until_s - self._now_s())

    @property
    def is_idle(self) -> bool:
        """Whether an experiment may begin unasked."""
        return self.experiment is None and self.probation is None and not self.cool_down_s

    def require_none(self) -> None:
        """Raise ConflictError where an experiment runs."""
        if (running := self.experiment) is not None:
            raise ConflictError(
                f"experiment {running.id} with {running.knob.setting} is running; "
                "GET /benchmarks/optimization/status shows how far it is"
            )

    def assign(self, trace: Trace) -> StreamingConfig:
        """The settings of a new utterance."""
        with self._lock:
            if self.experiment is None:
                return self._synthesizer.streaming
            return self.experiment.assign(trace, self._now_s())

    def observe(self, answer: Measurement) -> bool:
        """Learn how an utterance ended; returns whether there is something to judge now."""
        with self._lock:
            if self.experiment is not None:
                self.experiment.record(answer)
            if self.probation is not None:
                self.probation.record(answer)
            return self._is_due()

    def begin(self, proposal: Proposal) -> Experiment:
        """Begin an experiment; what is on probation is watched no more. Raises ConflictError where one runs."""
        with self._lock:
            self.require_none()
            experiment = self.experiment = self._experiment(proposal)
            self.probation = None
        logger.info(
            "tuner experiment=%s setting=%s from=%s to=%s: %s",
            experiment.id,
            proposal.knob.setting,
            toml(experiment.current),
            toml(experiment.value),
            proposal.reason,
        )
        return experiment

    async def judge(self) -> Decision | None:
        """Take back what was kept and does harm, else look at the experiment if a look is due."""
        if self.probation is not None and (decision := await self._watch(self.probation)) is not None:
            return decision
        return None if self.experiment is None else await self._look(self.experiment)

    async def abandon(self, reason: str) -> None:
        """End the experiment without a verdict; nothing where none runs."""
        if self.experiment is not None:
            await self._end(self.experiment, "abandoned", "", reason)

    async def reset(self, configured: StreamingConfig) -> Decision | None:
        """Go back to `configured`, end the experiment; None where nothing was different."""
        changed = differences(configured, self._synthesizer.streaming)
        await self.abandon("reset on demand")
        self._synthesizer.streaming, self.probation = configured, None
        if not changed:
            return None
        told = ", ".join(f"{setting} = {toml(value)}" for setting, value, _ in changed)
        setting, value, kept = changed[0]
        sentence = f"back to what is configured: {told}"
        decision = Decision(self._wall_clock(), "", setting, value, kept, "reset", "", sentence)
        await self._record(decision)
        return decision

    def _experiment(self, proposal: Proposal) -> Experiment:
        self._num_begun += 1
        at = self._wall_clock()
        return Experiment(
            id=f"x{int(at)}-{self._num_begun}",
            knob=proposal.knob,
            base=self._synthesizer.streaming,
            value=proposal.value,
            plan=Plan(self._config.max_pairs, self._config.max_experiment_s),
            reason=proposal.reason,
            begun_s=self._now_s(),
            begun_at=at,
            rng=self._rng,
        )

    def _is_due(self) -> bool:
        experiment, probation = self.experiment, self.probation
        if probation is not None and (probation.harm or probation.is_over):
            return True
        return experiment is not None and bool(experiment.harm or experiment.due(self._now_s()))

    async def _watch(self, probation: Probation) -> Decision | None:
        """Take back what does harm; stop watching what has done none."""
        if probation.is_over or probation.harm:
            self.probation = None
        if not probation.harm:
            return None
        self._synthesizer.streaming = probation.before
        return await self._decide(probation.experiment, "rolled_back", "harmful", probation.harm, probation.evidence())

    async def _look(self, experiment: Experiment) -> Decision | None:
        if experiment.harm:
            return await self._end(experiment, "stopped", "harmful", experiment.harm)
        with self._lock:
            look = experiment.due(self._now_s())
            if look is None:
                return None
            judgement = experiment.take(look)
        verdict = await self._judged(experiment, judgement)
        if self.experiment is not experiment or not (look.is_last or verdict.name != "inconclusive"):
            return None  # somebody has ended it meanwhile, or it goes on
        return await self._end(experiment, self._action(experiment, verdict), verdict.name, verdict.sentence, verdict)

    async def _judged(self, experiment: Experiment, judgement: Judgement) -> Verdict:
        try:
            return await asyncio.to_thread(judgement)
        except Exception as error:  # nobody may be left with an arm that is never judged
            await self._end(experiment, "abandoned", "", f"it could not be judged: {error!r}")
            raise

    def _action(self, experiment: Experiment, verdict: Verdict) -> Action:
        if verdict.name != "better" or experiment.value == experiment.current:
            return "left"
        return "kept" if self._config.apply else "recommended"

    async def _end(
        self, experiment: Experiment, action: Action, name: str, sentence: str, verdict: Verdict | None = None
    ) -> Decision | None:
        """End an experiment with a decision; None where somebody else has ended it."""
        with self._lock:
            if self.experiment is not experiment:
                return None
            self.experiment = None
            self._rest_until_s = self._now_s() + self._config.cool_down_s
            if action != "abandoned":
                self._resting.add(experiment, action, name)
            if action == "kept":
                self.probation = Probation(experiment, before=self._synthesizer.streaming)
                self._synthesizer.streaming = experiment.candidate
        return await self._decide(experiment, action, name, sentence, _evidence(experiment, verdict))

    async def _decide(
        self, experiment: Experiment, action: Action, name: str, sentence: str, evidence: dict[str, Any]
    ) -> Decision:
        decision = Decision(
            at=self._wall_clock(),
            experiment=experiment.id,
            setting=experiment.knob.setting,
            current=experiment.current,
            candidate=experiment.value,
            action=action,
            verdict=name,
            sentence=sentence,
            evidence=evidence,
        )
        await self._record(decision)
        return decision


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
