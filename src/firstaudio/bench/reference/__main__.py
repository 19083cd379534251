"""`python -m firstaudio.bench.reference`: prints one line of JSON with its URLs, then serves until it is stopped."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys

from firstaudio.bench.reference.figures import PROTOCOLS, Figures, add_flags, from_flags
from firstaudio.errors import BenchError


def main() -> int:
    """Exit code 2 for a bad figure, 3 when it could not start."""
    parser = argparse.ArgumentParser(prog="python -m firstaudio.bench.reference", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="of HTTP; 0 takes a free one")
    parser.add_argument("--protocols", default="http", help=f"comma-separated, of {', '.join(PROTOCOLS)}")
    parser.add_argument("--tied", action="store_true", help="stop when standard input ends")
    add_flags(parser)
    parsed = parser.parse_args()
    protocols = parsed.protocols.split(",")
    if unknown := sorted(set(protocols) - set(PROTOCOLS)):
        parser.error(f"no protocol {unknown[0]!r}; there are {', '.join(PROTOCOLS)}")
    try:
        figures = from_flags(parsed)
    except BenchError as error:
        parser.error(error.message)
    return _run(parsed, figures, protocols)


def _run(parsed: argparse.Namespace, figures: Figures, protocols: list[str]) -> int:
    from firstaudio.bench.reference.server import serve

    async def serve_and_leave() -> None:
        await serve(figures, parsed.host, parsed.port, protocols, parsed.tied, _say)
        os._exit(0)  # clients that hang, on purpose, would be waited for; there is nothing to save

    try:
        with _runner() as runner:
            runner.run(serve_and_leave())
    except OSError as error:
        print(f"the reference server could not start: {error}", file=sys.stderr)
    return 3


def _runner() -> asyncio.Runner:
    """On uvloop where there is one."""
    try:
        import uvloop
    except ImportError:
        return asyncio.Runner()
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)


def _say(line: bytes) -> None:
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main())
