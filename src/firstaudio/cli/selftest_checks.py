"""The steps of the self test: each asks the server something, and says what is to be thought of the answer."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from firstaudio.cli.client import SPEECH_TIMEOUT_S
from firstaudio.cli.selftest_speech import Heard, SelfTestClient
from firstaudio.cli.selftest_texts import SENTENCES, TEXTS, Coverage, coverage
from firstaudio.errors import BenchError
from firstaudio.slo import RTF_TARGET, TTFA_TARGET_MS, category, is_met

Verdict = Literal["passed", "missed", "failed", "not checked"]
Say = Callable[[str], None]

EXIT_FAILED, EXIT_MISSED = 1, 99
MIN_SEGMENTS = 2  # of the long text: else it was not segmented
BAD = ("NEEDS_IMPROVEMENT", "CRITICAL")
NUM_NAMED = 5
NUM_LOOKS, MAX_AGE_LOOKS, LOOK_S = 5, 15, 0.2


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: Of the thing.
        verdict: "missed": all works, but a target is not met. "not checked": it could not be.
        says: Why, in one line.
    """

    name: str
    verdict: Verdict
    says: str


@dataclass(slots=True)
class Findings:
    """What the self test found; a part is None where the server did not tell it.

    Attributes:
        url: Of the server.
        is_own: Whether the server was started for the test.
        capabilities: As `GET /v1/capabilities` tells them.
        quick: As `POST /benchmarks/ttfa/quick` tells it.
        heard: What a client saw of streamed speech.
        optimization: As `GET /benchmarks/optimization/status` tells it.
        status: As `GET /status` tells it.
        coverages: What was spoken of each text.
        run: The benchmark, as `GET /benchmarks/runs` tells it.
        performance: As `GET /ttfa-performance` tells it.
        checks: What is to be thought of it all.
    """

    url: str
    is_own: bool
    capabilities: dict[str, Any]
    quick: dict[str, Any] | None = None
    heard: list[Heard] = field(default_factory=list)
    optimization: dict[str, Any] | None = None
    status: dict[str, Any] | None = None
    coverages: list[Coverage] = field(default_factory=list)
    run: dict[str, Any] | None = None
    performance: dict[str, Any] | None = None
    checks: list[Check] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0: nothing failed and no target was missed; 1 and 99 otherwise, a failure before a miss."""
        verdicts = {check.verdict for check in self.checks}
        return EXIT_FAILED if "failed" in verdicts else EXIT_MISSED if "missed" in verdicts else 0


def self_test(client: SelfTestClient, benchmark: str | None, is_own: bool, say: Say) -> Findings:
    """Look at one server.

    Args:
        client: Of the server.
        benchmark: Which one it should run of itself; None: none.
        is_own: Whether nobody else uses it.
        say: Told what is done now.

    Raises:
        NotReadyError: No server answers, or it is not ready.
        UnauthorizedError: It wants an API key.
        BenchError: It is no firstaudio server.
    """
    found = Findings(client.url, is_own, client.ask("GET", "/v1/capabilities"))
    if found.capabilities.get("service") != "firstaudio":
        raise BenchError(f"{client.url} is no firstaudio server: measure it with firstaudio bench server --url")
    steps: list[tuple[str, Callable[[SelfTestClient, Findings], Check]]] = [
        ("TTFA, measured by the server", _quick),
        ("TTFA, measured by a client", _listen),
        ("streaming optimiser", _optimization),
        ("server status", _status),
        ("text coverage", _coverage),
        ("phoneme limit and segmentation", _segmentation),
    ]
    if benchmark is not None:
        steps.append((f"{benchmark} benchmark", lambda client, found: _benchmark(client, found, benchmark, say)))
    steps.append(("performance assessment", _performance))
    for name, step in steps:
        say(name)
        found.checks.append(_checked(name, step, client, found))
    return found


def _checked(
    name: str, step: Callable[[SelfTestClient, Findings], Check], client: SelfTestClient, found: Findings
) -> Check:
    """What a step says; one that the server refuses has failed, and the others go on."""
    try:
        check = step(client, found)
    except BenchError as error:
        return Check(name, "failed", error.message)
    return Check(name, check.verdict, check.says)


def _quick(client: SelfTestClient, found: Findings) -> Check:
    quick = found.quick = client.ask("POST", "/benchmarks/ttfa/quick", timeout_s=SPEECH_TIMEOUT_S)
    says = f"{quick['ttfa_ms']:.1f} ms, target {quick['target_ms']:g} ms, {quick['warmth']}"
    if quick["warmth"] == "cached":
        return Check("", "not checked", f"{says}: its audio was not made for this answer")
    return Check("", "passed" if quick["target_met"] else "missed", says)


def _listen(client: SelfTestClient, found: Findings) -> Check:
    found.heard = [client.listen(sentence) for sentence in SENTENCES]
    silent = sum(heard.audible_ttfa_ms is None for heard in found.heard)
    if silent:
        return Check("", "failed", f"{silent} of {len(found.heard)} texts were spoken without audible sound")
    median, target_ms = median_ms(found.heard), target_of(found)
    verdict: Verdict = "passed" if median is not None and is_met(median, target_ms) else "missed"
    return Check("", verdict, f"median {median:.1f} ms of {len(found.heard)} texts, target {target_ms:g} ms")


def median_ms(heard: list[Heard]) -> float | None:
    """The median time to first audio of a client; None where one brought none."""
    times = [one.ttfa_ms for one in heard if one.ttfa_ms is not None]
    return statistics.median(times) if times and len(times) == len(heard) else None


def target_of(found: Findings) -> float:
    """The target for TTFA that the server is configured with, in ms."""
    return TTFA_TARGET_MS if found.quick is None else float(found.quick["target_ms"])


def _optimization(client: SelfTestClient, found: Findings) -> Check:
    told = found.optimization = client.ask("GET", "/benchmarks/optimization/status")
    config, tuner = told["streaming_optimization"]["config"], told["tuner"]
    if tuner["failure"]:
        return Check("", "failed", f"the tuner failed: {tuner['failure']}")
    off = [name for name in ("fast_path_enabled", "incremental_generation") if not config[name]]
    return Check("", "passed", f"{' and '.join(off)} off, as configured" if off else "fast path and streaming are on")


def _status(client: SelfTestClient, found: Findings) -> Check:
    told = found.status = client.ask("GET", "/status")
    if not told["model_loaded"]:
        return Check("", "failed", "the default engine's model is not in memory; GET /status tells more")
    return Check("", "passed", f"the model of {found.capabilities['default_engine']} is in memory")


def _coverage(client: SelfTestClient, found: Findings) -> Check:
    if not _marks_words(found):
        return Check("", "not checked", f"{found.capabilities['default_engine']} does not say which words it speaks")
    told = {name: client.follow(text) for name, text in TEXTS.items()}
    segments = _num_segments(client, {each.request_id for each in told.values()})
    for name, each in told.items():
        found.coverages.append(coverage(name, TEXTS[name], each.words, segments.get(each.request_id)))
    wrong = [_told_missing(each) for each in found.coverages if not each.is_complete]
    num_words = sum(each.num_words for each in found.coverages)
    return Check(
        "", "failed" if wrong else "passed", "; ".join(wrong) or f"all of {num_words} words, each once, in order"
    )


def _marks_words(found: Findings) -> bool:
    named = found.capabilities["default_engine"]
    return any(engine["name"] == named and engine["word_timing"] for engine in found.capabilities["engines"])


def _told_missing(each: Coverage) -> str:
    named = ", ".join(each.missing[:NUM_NAMED])
    parts = [f"{len(each.missing)} of {each.num_words} words were not spoken ({named})"] if each.missing else []
    parts += [f"{each.num_out_of_order} words out of order"] if each.num_out_of_order else []
    return f"{each.name}: {', '.join(parts)}"


def _num_segments(client: SelfTestClient, ids: set[str]) -> dict[str, int]:
    """By request; a measurement may come a moment after the last byte of its answer."""
    told: dict[str, int] = {}
    for _ in range(NUM_LOOKS):
        rows = client.ask("GET", "/ttfa-measurements?limit=100")["measurements"]
        told = {row["request_id"]: row["details"]["num_segments"] for row in rows if row["request_id"] in ids}
        if len(told) == len(ids):
            break
        client.pause(LOOK_S)
    return told


def _segmentation(_: SelfTestClient, found: Findings) -> Check:
    """A text beyond the limit of a model is spoken in pieces, and none of it is cut off."""
    if not found.coverages:
        return Check("", "not checked", "no text was followed word by word")
    if any(each.num_segments is None for each in found.coverages):
        return Check("", "not checked", "the server does not tell of its measurements; see telemetry.enabled")
    long = found.coverages[: len(TEXTS) - 1]
    told = ", ".join(f"{each.name}: {each.num_characters} characters in {each.num_segments} segments" for each in long)
    is_fine = all(each.is_complete and (each.num_segments or 0) >= MIN_SEGMENTS for each in long)
    return Check("", "passed" if is_fine else "failed", told)


def _benchmark(client: SelfTestClient, found: Findings, kind: str, say: Say) -> Check:
    wish = {"benchmark_type": kind, "include_voice_tests": False, "include_speed_tests": False}
    run = found.run = client.benchmark(wish, say)
    if run["status"] != "succeeded":
        return Check("", "failed", f"{run['id']} {run['status']}: {run['error']}")
    return judge_run(run["summary"], target_of(found))


def judge_run(summary: dict[str, Any], target_ms: float) -> Check:
    """What is to be thought of a benchmark's figures: nothing where they are INVALID."""
    ttfa_ms, rtf = summary["ttfa_ms"], summary["rtf"]
    if summary["verdict"] != "VALID":
        return Check("", "failed", f"its figures are {summary['verdict']}: {'; '.join(summary['reasons'])}")
    if summary["num_ok"] < summary["num_requests"]:
        return Check("", "failed", f"{summary['num_requests'] - summary['num_ok']} of {summary['num_requests']} failed")
    if ttfa_ms is None or rtf is None:
        return Check("", "failed", "it has no figures: too few requests came through")
    says = f"TTFA {ttfa_ms:.1f} ms ({category(ttfa_ms)}), RTF {rtf:.4f}, {summary['num_requests']} requests"
    return Check("", "passed" if is_met(ttfa_ms, target_ms) and rtf < RTF_TARGET else "missed", says)


def _performance(client: SelfTestClient, found: Findings) -> Check:
    told = found.performance = _settled_performance(client, found)
    cause = client.ask("GET", "/ttfa-performance/investigation")
    summary = told["summary"]
    if not summary["num_requests"]:
        return Check("", "not checked", "no client has asked for speech in the last day")
    says = f"{cause['category']}: {cause['num_missed']} of {cause['n']} clients' requests missed the target"
    if cause["num_missed"]:
        says += f"; {cause['pattern']}"
    is_bad = cause["category"] in BAD or summary["success_alert"] is not None
    return Check("", "missed" if is_bad else "passed", says)


def _settled_performance(client: SelfTestClient, found: Findings) -> dict[str, Any]:
    """An answer may be a second old: of a server of our own we know how many requests should be in it."""
    expected = len(found.heard) + len(found.coverages) if found.is_own else 0
    told = client.ask("GET", "/ttfa-performance")
    for _ in range(MAX_AGE_LOOKS):
        if told["summary"]["num_requests"] >= expected:
            break
        client.pause(LOOK_S)
        told = client.ask("GET", "/ttfa-performance")
    return told
