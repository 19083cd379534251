"""Which runtimes this machine has, what the others lack, and how names in the configuration become runtimes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from firstaudio.engines.kokoro.runtimes import openvino_runtime, ort
from firstaudio.engines.kokoro.runtimes.base import Runtime
from firstaudio.engines.kokoro.runtimes.hardware import Processor, processor
from firstaudio.engines.kokoro.runtimes.openvino_runtime import OpenVinoRuntime, import_openvino
from firstaudio.engines.kokoro.runtimes.ort import DEVICES, OrtRuntime, import_ort
from firstaudio.errors import ConfigError, MissingExtraError

AUTO = "auto"
Precision = Literal["auto", "f32", "bf16"]


@dataclass(frozen=True, slots=True)
class Known:
    """A runtime that this package can drive.

    Attributes:
        name: As `kokoro.runtimes` takes it.
        library: "onnxruntime" or "openvino".
        device: As the library's runtime class takes it.
        precision: "f32" or "bf16".
    """

    name: str
    library: str
    device: str
    precision: Literal["f32", "bf16"] = "f32"

    @property
    def family(self) -> str:
        """The name without the precision."""
        return f"{self.library}-{self.device.lower()}"


# The order is a rank: where two are as fast as each other, the earlier one is used. First what needs least and changes
# nothing, then other devices, then less precise arithmetic.
KNOWN = (
    Known("onnxruntime-cpu", ort.LIBRARY, "cpu"),
    Known("openvino-cpu", openvino_runtime.LIBRARY, "CPU"),
    *(Known(f"onnxruntime-{device}", ort.LIBRARY, device) for device in DEVICES if device != "cpu"),
    Known("openvino-gpu", openvino_runtime.LIBRARY, "GPU"),
    Known("openvino-cpu-bf16", openvino_runtime.LIBRARY, "CPU", "bf16"),
)


def device_of(name: str) -> str:
    """What a runtime computes on: "cpu", "cuda", ...; two on the same device take each other's time.

    Args:
        name: Of the runtime; one that is not in `KNOWN` has a device of its own.
    """
    return next((known.device.lower() for known in KNOWN if known.name == name), name)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One known runtime on this machine.

    Attributes:
        known: Which.
        problem: Why it cannot be used; empty where it can.
        remedy: What to do to have it; empty where nothing helps or nothing is needed.
    """

    known: Known
    problem: str = ""
    remedy: str = ""

    @property
    def name(self) -> str:
        """Of the runtime."""
        return self.known.name

    @property
    def is_there(self) -> bool:
        """Whether it can be loaded."""
        return not self.problem


def available() -> list[Candidate]:
    """Every known runtime, in the order of `KNOWN`, with whether it is there and, when not, why and how to get it."""
    here = processor()
    return [_openvino(known, here) if known.library == openvino_runtime.LIBRARY else _ort(known) for known in KNOWN]


def resolve(
    names: Sequence[str], precision: Precision = "auto", *, num_threads: int = 0, cache_folder: Path | None = None
) -> list[Runtime]:
    """The runtimes that a configuration asks for, in their order.

    Args:
        names: `kokoro.runtimes`: names of runtimes, or "auto" alone for all that are there. A name without a precision
            stands for every precision that `precision` allows.
        precision: `kokoro.precision`; "auto" allows all: who asks with it judges fidelity himself.
        num_threads: Threads of one step; 0: one for each physical core.
        cache_folder: For compiled graphs.

    Raises:
        ConfigError: A name is unknown, is not there, or has no such precision.
        MissingExtraError: "auto", and nothing that runs models is installed.
    """
    candidates = available()
    if AUTO in names:
        chosen = _all(names, precision, candidates)
    else:
        chosen = [candidate for name in names for candidate in _named(name, precision, candidates)]
    build = partial(_make, num_threads=num_threads, cache_folder=cache_folder)
    return [build(candidate.known) for candidate in dict.fromkeys(chosen)]


def _all(names: Sequence[str], precision: Precision, candidates: Sequence[Candidate]) -> list[Candidate]:
    if len(names) > 1:
        raise ConfigError(f"kokoro.runtimes is {', '.join(names)}: auto stands for all of them, so it stands alone")
    there = [candidate for candidate in candidates if candidate.is_there]
    if not there:
        raise MissingExtraError("running a model", "kokoro")
    allowed = [candidate for candidate in there if precision in (AUTO, candidate.known.precision)]
    if not allowed:
        raise ConfigError(f"no runtime of this machine computes in {precision}: {_why_none(precision, candidates)}")
    return allowed


def _named(name: str, precision: Precision, candidates: Sequence[Candidate]) -> list[Candidate]:
    """What one name stands for: itself, and its family's other precisions where it names none."""
    family = [c for c in candidates if name in (c.name, c.known.family)]
    exact = [c for c in family if c.name == name and c.known.precision != "f32"]
    if not family:
        known = ", ".join(candidate.name for candidate in candidates)
        raise ConfigError(f"kokoro.runtimes names {name!r}, which nobody knows; known are: {AUTO}, {known}")
    wanted = [c for c in exact or family if precision in (AUTO, c.known.precision)]
    if not wanted:
        raise ConfigError(f"{name} does not compute in {precision}: change kokoro.precision or kokoro.runtimes")
    there = [c for c in wanted if c.is_there]
    if not there:
        raise ConfigError(f"{name} is not there: {_why_none(precision, wanted)}")
    return there


def _why_none(precision: Precision, candidates: Sequence[Candidate]) -> str:
    """Problems and remedies of those of one precision, in a row."""
    told = [c for c in candidates if precision in (AUTO, c.known.precision)]
    return "; ".join(f"{c.name}: {c.problem}" + (f" ({c.remedy})" if c.remedy else "") for c in told)


def _make(known: Known, *, num_threads: int, cache_folder: Path | None) -> Runtime:
    if known.library == ort.LIBRARY:
        return OrtRuntime(known.device, num_threads=num_threads)
    return OpenVinoRuntime(known.device, known.precision, num_threads=num_threads, cache_folder=cache_folder)


def _ort(known: Known) -> Candidate:
    provider = DEVICES[known.device]
    try:
        module = import_ort()
    except MissingExtraError as error:
        return Candidate(known, _cause(error), ort.remedy(provider))
    if provider.name not in module.get_available_providers():
        return Candidate(known, f"the installed onnxruntime has no {provider.name}", ort.remedy(provider))
    if known.device == "coreml-neural" and not processor().is_apple:
        return Candidate(known, "this processor has no neural engine")
    return Candidate(known)


def _openvino(known: Known, here: Processor) -> Candidate:
    try:
        module = import_openvino()
    except MissingExtraError as error:
        return Candidate(known, _cause(error), "pip install openvino")
    core = module.Core()
    if not any(device.partition(".")[0] == known.device for device in core.available_devices):
        return Candidate(known, f"OpenVINO finds no {known.device}", "install the device's driver")
    if known.precision == "bf16" and not _has_bf16(core, here):
        return Candidate(known, "this processor has no bf16 (AMX or AVX-512 BF16)")
    return Candidate(known)


def _has_bf16(core: object, here: Processor) -> bool:
    """OpenVINO also says BF16 where it would emulate it, slowly; so it is asked only where the system does not tell."""
    if here.has_bf16 is not None:
        return here.has_bf16
    return "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")  # type: ignore[attr-defined] # OpenVINO's


def _cause(error: MissingExtraError) -> str:
    """That it is not installed, or why the import of what is installed failed."""
    cause = error.__cause__
    return "not installed" if isinstance(cause, ModuleNotFoundError) else f"its import failed: {cause}"
