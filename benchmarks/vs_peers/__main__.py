"""firstaudio beside kokoro-onnx, sherpa-onnx and Kokoro-FastAPI: the same model, this machine, one run.

    python -m benchmarks.vs_peers [--model FILE --voices FILE] [--peers-python FILE] [--rounds 20=8,117=6,500=6,5000=2]

Run it from the root of the repository, on a machine that does nothing else; it takes about ten minutes. What it needs
and is not given (environments of the peers, a model of Kokoro's shape with random weights) it makes in a cache folder.
README.md says what is measured and what is not comparable.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

from benchmarks.vs_peers import ours
from benchmarks.vs_peers import peers as who
from benchmarks.vs_peers.listen import Answer, Idleness, Plan, run_rounds
from benchmarks.vs_peers.peers import Model, Peer
from benchmarks.vs_peers.results import OURS, Results, markdown

from firstaudio.bench.load.watch import Neighbours
from firstaudio.bench.machine.environment import CPU_FLAGS, load_psutil
from firstaudio.bench.machine.environment import environment as about_here

DEFAULT_ROUNDS = "20=8,117=6,500=6,5000=2"
CUT_ABOVE = 1000
BF16_FLAGS = ("amx_bf16", "avx512_bf16")
QUIET_SHARE = 0.06
IDLE_LOOK_S = 3.0
LIBRARIES = {"kokoro-onnx": who.kokoro_onnx, "sherpa-onnx": who.sherpa_onnx}


def main() -> None:
    options = arguments()
    model = given_or_made(options)
    with ExitStack() as stack:
        running = [stack.enter_context(peer) for peer in participants(options, model)]
        result = asyncio.run(measure(running, options))
    text = report(result)
    print(text)
    save(options.out, result, text)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, default=ours.CACHE)
    parser.add_argument("--out", type=Path, default=Path("out/vs_peers"), help="folder of results.json and results.md")
    parser.add_argument("--model", type=Path, help="ONNX file; otherwise a model of the same shape is built")
    parser.add_argument("--voices", type=Path, help="its voices")
    parser.add_argument("--torch-python", type=Path, help="a Python with torch and kokoro, to build the model with")
    parser.add_argument("--peers-python", type=Path, help="a Python with kokoro-onnx and sherpa-onnx")
    parser.add_argument("--peers", default=",".join(LIBRARIES), help="libraries to run beside; empty: none")
    parser.add_argument("--kokoro-fastapi", metavar="URL", help="a Kokoro-FastAPI that runs already")
    parser.add_argument("--kokoro-fastapi-source", type=Path, help="a checkout of it, to be started here")
    parser.add_argument("--kokoro-fastapi-python", type=Path, help="a Python with what it needs")
    parser.add_argument("--variants", default="bf16,f32", help="of ours: precisions, comma-separated")
    ours.add_options(parser)
    parser.add_argument("--rounds", type=rounds, default=rounds(DEFAULT_ROUNDS), help=f"default {DEFAULT_ROUNDS}")
    parser.add_argument(
        "--listen-s", type=float, default=15.0, help="of a text above 1,000 characters; 0: all of it; default 15"
    )
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if unknown := {*filter(None, options.peers.split(","))} - {*LIBRARIES}:
        parser.error(f"no such library: {', '.join(sorted(unknown))}; there are {', '.join(LIBRARIES)}")
    return options


def rounds(text: str) -> dict[int, int]:
    """From "20=8,117=6": how many rounds at which length."""
    pairs = (pair.partition("=") for pair in text.split(","))
    return {int(length): int(number) for length, _, number in pairs}


def given_or_made(options: argparse.Namespace) -> Model:
    if options.model and options.voices:
        return Model(options.model.resolve(), options.voices.resolve())
    if options.model or options.voices:
        raise SystemExit("--model and --voices belong together: give both, or none")
    python = options.torch_python or who.environment(options.cache / "torch", who.TORCH_PACKAGES)
    return who.shape_model(options.cache / "model", python)


def participants(options: argparse.Namespace, model: Model) -> Iterator[AbstractContextManager[Peer]]:
    for precision in filter(None, options.variants.split(",")):
        if precision == "bf16" and not set(BF16_FLAGS) & set(about_here(0)["machine"]["cpu_flags"]):
            print("no bf16 here: this processor has none", file=sys.stderr)
            continue
        chosen = ours.settings(options, model.model, model.voices, precision)
        ours.be_judged(chosen)
        yield who.firstaudio(f"{OURS} {precision}", ours.flags(chosen))
    for name in filter(None, options.peers.split(",")):
        python = options.peers_python or who.environment(options.cache / "peers", who.PEER_PACKAGES)
        yield LIBRARIES[name](python, model, options.cache)
    if options.kokoro_fastapi:
        yield who.kokoro_fastapi_at(options.kokoro_fastapi)
    elif options.kokoro_fastapi_source:
        its = options.kokoro_fastapi_python or who.environment(options.cache / "fastapi", who.FASTAPI_PACKAGES)
        yield who.kokoro_fastapi(its, options.kokoro_fastapi_source.resolve(), model, options.cache)


async def measure(running: Sequence[Peer], options: argparse.Namespace) -> dict[str, Any]:
    pids = {peer.name: peer.pid for peer in running if peer.pid is not None}
    idleness = Idleness(pids)
    plan = Plan(options.rounds, CUT_ABOVE, options.listen_s, options.seed)
    neighbours = Neighbours(tuple(pids.values()))
    answers = await run_rounds([peer.spec for peer in running], idleness, plan, progress, checking(options))
    share = neighbours.share()
    await idleness.wait()
    return {
        "environment": about_here(),
        "versions": {peer.name: dict(peer.versions) for peer in running},
        "variants": {"decode": options.decode, "precisions": options.variants},
        "plan": {"rounds": plan.rounds, "listen_s": plan.listen_s, "cut_above": CUT_ABOVE, "seed": plan.seed},
        "others_cpu_share": share,
        "idle_cores": await idleness.cores(IDLE_LOOK_S),
        "peak_rss_mb": {name: peak_rss_mb(pid) for name, pid in pids.items()},
        "results": Results(answers),
    }


def checking(options: argparse.Namespace) -> Callable[[Answer], None]:
    """Our own answers are held to what their row says."""
    precisions = {f"{OURS} {precision}": precision for precision in filter(None, options.variants.split(","))}

    def check(answer: Answer) -> None:
        if answer.peer in precisions and options.engine == "kokoro":
            ours.check(precisions[answer.peer], options.decode, answer)

    return check


def progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def peak_rss_mb(pid: int) -> float | None:
    """Of a process tree since its start, the sum of the processes' own peaks; None where the system does not tell."""
    root = load_psutil().Process(pid)
    pages = [Path(f"/proc/{process.pid}/status") for process in (root, *root.children(recursive=True))]
    if not all(page.exists() for page in pages):
        return None
    lines = (line for page in pages for line in page.read_text().splitlines() if line.startswith("VmHWM:"))
    return sum(int(line.split()[1]) for line in lines) * 1024 / 1e6


def report(result: Mapping[str, Any]) -> str:
    """Everything as Markdown."""
    results = result["results"]
    own = [peer for peer in results.peers if peer.startswith(OURS)]
    listen_s = result["plan"]["listen_s"]
    cut = f"; above {CUT_ABOVE:,} characters the client listens to {listen_s:g} s of audio" if listen_s else ""
    memory = [
        {"": name, "peak RSS, MB": f"{peak:.0f}", "cores busy when idle": f"{result['idle_cores'][name]:.3f}"}
        for name, peak in result["peak_rss_mb"].items()
        if peak is not None
    ]
    parts = [
        *conditions(result),
        markdown("Time to first audio over HTTP, ms: median [95 %]", results.table("ttfa_ms")),
        markdown("The same, how many times ours", results.ratios(own, "ttfa_ms")),
        markdown("Audible, ms", results.table("audible_ttfa_ms")),
        markdown("RTF of whole answers", results.table("rtf", 3)),
        markdown("How many times our RTF", results.ratios(own, "rtf")),
        markdown(f"Answers that stall at buffer 0, longest silence{cut}", results.stalls()),
        markdown("First audio inside the process, before the small server, ms", results.table("library_ms")),
        markdown("What ran, by the answers' own word", results.ran()),
        markdown("Over the whole run", memory),
        *(f"FAILED: {error}\n" for error in results.errors()),
    ]
    return "\n".join(part for part in parts if part)


def conditions(result: Mapping[str, Any]) -> Iterator[str]:
    machine, share = result["environment"]["machine"], result["others_cpu_share"]
    flags = [flag for flag in machine["cpu_flags"] if flag in CPU_FLAGS]
    cores = f"{machine['usable_cores']:g} usable of {machine['physical_cores']} cores"
    yield f"{machine['cpu']}, {cores} ({', '.join(flags)}), {machine['os']}, Python {platform.python_version()}.  "
    verdict = (
        "unknown" if share is None else f"{share:.1%}" + ("" if share <= QUIET_SHARE else ": NOT QUIET, do not quote")
    )
    yield f"Other processes' share of the machine: {verdict}.  "
    for name, found in result["versions"].items():
        yield f"{name}: " + (", ".join(f"{package} {version}" for package, version in found.items()) or "?") + ".  "
    yield "Random weights of Kokoro-82M's shape: the arithmetic of the real model, and nothing about its sound.\n"


def save(folder: Path, result: Mapping[str, Any], text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    document = {**result, "results": result["results"].public()}
    (folder / "results.json").write_text(json.dumps(document, indent=1))
    (folder / "results.md").write_text(text)


if __name__ == "__main__":
    main()
